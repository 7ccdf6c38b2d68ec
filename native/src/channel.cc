#include "channel.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdlib>

namespace covault {

PageBuffer::PageBuffer(size_t bytes) {
  const size_t rounded = (bytes + wire::kPageBytes - 1) / wire::kPageBytes * wire::kPageBytes;
  void* memory = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  span_ = std::span(static_cast<std::byte*>(memory), rounded);
}

PageBuffer::~PageBuffer() { munmap(span_.data(), span_.size()); }

Outcome handle_request(Handler& handler, const Connection& connection, const wire::InHeader& header,
                       const Arguments& arguments, Reply& reply, ThreadCounters& counters) {
  counters.request(header.opcode);
  Outcome outcome = dispatch(handler, connection, header, arguments, reply);
  if (outcome == kMalformed) {
    counters.malformed();
    outcome = EINVAL;
  }
  if (outcome > 0) {
    counters.error();
  } else if (outcome == 0 && header.opcode == wire::kRead) {
    counters.read(reply.content_bytes());
  } else if (outcome == 0 && header.opcode == wire::kWrite && reply.fixed().size() >= sizeof(wire::WriteOut)) {
    wire::WriteOut out;
    std::memcpy(&out, reply.fixed().data(), sizeof(out));
    counters.written(out.size);
  }
  return outcome;
}

}  // namespace covault
