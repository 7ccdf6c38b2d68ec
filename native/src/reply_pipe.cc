#include "reply_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace covault {

namespace {

// What every user may have: the default of /proc/sys/fs/pipe-max-size.
constexpr int kPipeBytes = 1 << 20;

}  // namespace

bool ReplyPipe::open() {
  if (reader_.is_open()) return true;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  reader_ = FileDescriptor(ends[0]);
  writer_ = FileDescriptor(ends[1]);
  // A user with many pipes gets no large ones; then nothing fits that would be worth it.
  const int granted = fcntl(writer_.get(), F_SETPIPE_SZ, kPipeBytes);
  pages_ = granted < 0 ? 0 : static_cast<size_t>(granted) / wire::kPageBytes;
  return true;
}

void ReplyPipe::discard() {
  if (message_bytes_ == 0) return;
  message_bytes_ = 0;
  reader_.reset();
  writer_.reset();
}

bool ReplyPipe::fill(uint64_t unique, int fd, off_t offset, size_t bytes) {
  discard();
  // One place for each page or part of one, and one for the header.
  const size_t first = static_cast<size_t>(offset) % wire::kPageBytes;
  const size_t places = 1 + (first + bytes + wire::kPageBytes - 1) / wire::kPageBytes;
  if (!open() || places > pages_) return false;
  message_bytes_ = sizeof(wire::OutHeader) + bytes;
  const wire::OutHeader header{.len = static_cast<uint32_t>(message_bytes_), .error = 0, .unique = unique};
  bool good = write(writer_.get(), &header, sizeof(header)) == sizeof(header);
  while (good && bytes > 0) {
    const ssize_t count = ::splice(fd, &offset, writer_.get(), nullptr, bytes, 0);
    if (count < 0 && errno == EINTR) continue;
    good = count > 0;
    if (good) bytes -= static_cast<size_t>(count);
  }
  if (!good) discard();
  return good;
}

int ReplyPipe::send(int device) {
  const ssize_t count = ::splice(reader_.get(), nullptr, device, nullptr, message_bytes_, 0);
  const int error = count < 0 ? errno : 0;
  if (count == static_cast<ssize_t>(message_bytes_)) {
    message_bytes_ = 0;
  } else {
    discard();
  }
  return error;
}

}  // namespace covault
