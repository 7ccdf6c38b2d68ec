// What the channels of both transports share: how one request is handled and counted.
#ifndef COVAULT_CHANNEL_H_
#define COVAULT_CHANNEL_H_

#include "dispatch.h"
#include "statistics.h"

namespace covault {

// Memory of its own mapping, page-aligned and zero at first; pages that were never touched cost nothing.
class PageBuffer {
 public:
  explicit PageBuffer(size_t bytes);  // aborts the process if there is no address space left
  ~PageBuffer();
  PageBuffer(const PageBuffer&) = delete;
  PageBuffer& operator=(const PageBuffer&) = delete;
  std::span<std::byte> span() const { return span_; }

 private:
  std::span<std::byte> span_;
};

// Handles one decoded header with its arguments and counts it. Returns kDeferred or kNoReply, or the errno (0 = none)
// that goes with `reply`.
Outcome handle_request(Handler& handler, const Connection& connection, const wire::InHeader& header,
                       const Arguments& arguments, Reply& reply, ThreadCounters& counters);

}  // namespace covault

#endif  // COVAULT_CHANNEL_H_
