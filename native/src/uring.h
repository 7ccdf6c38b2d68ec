// A minimal io_uring with one command in flight, for one thread: just what a FUSE ring entry needs. Raw system calls.
#ifndef COVAULT_URING_H_
#define COVAULT_URING_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "posix.h"

namespace covault {

// A command to a driver (IORING_OP_URING_CMD) in a 128-byte submission entry.
struct UringCommand {
  static constexpr size_t kPayloadBytes = 80;
  int fd = -1;
  uint32_t operation = 0;
  const void* address = nullptr;
  uint32_t length = 0;
  std::array<std::byte, kPayloadBytes> payload = {};
};

class Uring {
 public:
  Uring() = default;
  ~Uring();
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;

  // Must be called by the thread that uses the ring. 0 or an errno.
  int open();

  // Queues a command; the next `wait` submits it.
  void prepare(const UringCommand& command);
  // Submits what is queued and waits for the completion of the command in flight. Returns 0 and its result, or an
  // errno (EINTR: a signal).
  int wait(int* result);
  // Submits what is queued without waiting.
  void submit();

 private:
  int enter(unsigned submit, unsigned wait);
  bool take_completion(int* result);

  FileDescriptor fd_;
  std::byte* ring_ = nullptr;
  size_t ring_bytes_ = 0;
  std::byte* entries_ = nullptr;
  size_t entries_bytes_ = 0;
  // Into ring_.
  uint32_t* submission_tail_ = nullptr;
  uint32_t submission_mask_ = 0;
  uint32_t* submission_array_ = nullptr;
  uint32_t* completion_head_ = nullptr;
  uint32_t* completion_tail_ = nullptr;
  uint32_t completion_mask_ = 0;
  std::byte* completions_ = nullptr;
  unsigned queued_ = 0;
};

}  // namespace covault

#endif  // COVAULT_URING_H_
