#include "device_channel.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace covault {

namespace {

// Headers of a WRITE, the request whose payload is worth aligning: with the buffer starting this far before a page, the
// data starts on one.
constexpr size_t kWriteHeaderBytes = sizeof(wire::InHeader) + sizeof(wire::WriteIn);

class DeferredDeviceReply final : public DeferredReply {
 public:
  DeferredDeviceReply(SharedDescriptor descriptor, uint64_t unique)
      : descriptor_(std::move(descriptor)), unique_(unique) {}
  ~DeferredDeviceReply() override {
    if (!answered_) error(EIO);
  }
  void error(int error_number) override { answer(error_number, {}); }
  void data(Bytes bytes) override { answer(0, bytes); }

 private:
  void answer(int error_number, Bytes bytes) {
    if (answered_) return;
    answered_ = true;
    write_reply(descriptor_->get(), unique_, error_number, {}, bytes);
  }

  SharedDescriptor descriptor_;
  uint64_t unique_;
  bool answered_ = false;
};

}  // namespace

namespace {

int write_message(int fd, wire::OutHeader header, Bytes fixed, Bytes bytes) {
  iovec parts[3] = {{&header, sizeof(header)}, {}, {}};
  int count = 1;
  header.len = sizeof(header);
  for (const Bytes part : {fixed, bytes}) {
    if (part.empty()) continue;
    parts[count++] = {const_cast<std::byte*>(part.data()), part.size()};
    header.len += static_cast<uint32_t>(part.size());
  }
  const ssize_t written = count == 1 ? write(fd, &header, sizeof(header)) : writev(fd, parts, count);
  return written < 0 ? errno : 0;
}

}  // namespace

int write_reply(int fd, uint64_t unique, int error_number, Bytes fixed, Bytes bytes) {
  if (error_number != 0) fixed = bytes = {};
  return write_message(fd, {.len = 0, .error = -error_number, .unique = unique}, fixed, bytes);
}

// A notification looks like the answer to request 0, with its code where the error stands.
int write_notification(int fd, int32_t code, Bytes fixed, Bytes bytes) {
  return write_message(fd, {.len = 0, .error = code, .unique = 0}, fixed, bytes);
}

DeviceChannel::DeviceChannel(SharedDescriptor descriptor, size_t write_bytes_max)
    : descriptor_(std::move(descriptor)), input_(2 * wire::kPageBytes + write_bytes_max), space_(write_bytes_max) {}

SharedDescriptor DeviceChannel::clone(const SharedDescriptor& session) {
  FileDescriptor fd(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  uint32_t source = static_cast<uint32_t>(session->get());
  if (!fd.is_open() || ioctl(fd.get(), wire::kIoctlCloneDevice, &source) != 0) return session;
  return std::make_shared<FileDescriptor>(std::move(fd));
}

Channel::Received DeviceChannel::receive() {
  const std::span<std::byte> buffer = input_.span().subspan(wire::kPageBytes - kWriteHeaderBytes);
  const ssize_t count = read(descriptor_->get(), buffer.data(), buffer.size());
  if (count < 0) {
    switch (errno) {
      case EINTR:
      case EAGAIN:
      case ENOENT:  // the request was taken back before it was read
        return Received::kInterrupted;
      case ENODEV:        // unmounted
      case ECONNABORTED:  // aborted
        return Received::kEnded;
      default:
        failure_ = errno;
        return Received::kFailed;
    }
  }
  if (!decode_header(Bytes(buffer.data(), static_cast<size_t>(count)), &header_, &body_)) {
    failure_ = EPROTO;
    return Received::kFailed;
  }
  return Received::kRequest;
}

void DeviceChannel::send(int error_number, const Reply& reply) {
  // ENOENT: the caller was killed meanwhile. Anything else ends the session by way of the next read.
  if (reply.is_spliced() && error_number == 0) {
    pipe_.send(descriptor_->get());
    return;
  }
  write_reply(descriptor_->get(), reply.unique(), error_number, reply.fixed(), reply.bytes());
}

std::unique_ptr<DeferredReply> DeviceChannel::defer(uint64_t unique) {
  return std::make_unique<DeferredDeviceReply>(descriptor_, unique);
}

}  // namespace covault
