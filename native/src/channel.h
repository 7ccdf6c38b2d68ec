// A channel brings requests to one transport thread and takes the answers back, one at a time. There is one kind for
// each transport: DeviceChannel and UringChannel.
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

class Channel {
 public:
  virtual ~Channel() = default;

  enum class Received { kRequest, kInterrupted, kEnded, kFailed };
  // Waits for a request, after handing back the answer to the one before if that is still to be done. kInterrupted: a
  // signal, or nothing to do. kFailed: see `failure()`.
  virtual Received receive() = 0;
  // Of the last request received.
  virtual const wire::InHeader& header() const = 0;
  virtual Arguments arguments() const = 0;
  // Memory for a large answer.
  virtual std::span<std::byte> space() const = 0;
  // Null if requests cannot be answered later.
  virtual Deferrer* deferrer() = 0;
  // Null if answers cannot be spliced.
  virtual Splicer* splicer() { return nullptr; }

  // Answers the last request; `error_number` 0 or an errno.
  virtual void send(int error_number, const Reply& reply) = 0;
  // The last request gets no answer.
  virtual void pass(const Reply& reply) { static_cast<void>(reply); }
  // Hands back an answer that `receive` would have handed back. Before the channel goes away.
  virtual void flush() {}

  // Errno of what failed.
  int failure() const { return failure_; }

 protected:
  int failure_ = 0;
};

// Handles one decoded header with its arguments and counts it. Returns kDeferred or kNoReply, or the errno (0 = none)
// that goes with `reply`.
Outcome handle_request(Handler& handler, const Connection& connection, const wire::InHeader& header,
                       const Arguments& arguments, Reply& reply, ThreadCounters& counters);

}  // namespace covault

#endif  // COVAULT_CHANNEL_H_
