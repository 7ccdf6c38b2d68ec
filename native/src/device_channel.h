// One channel of the /dev/fuse transport: reads a request, answers it. Each transport thread has its own channel, a
// clone of the session's descriptor, so that threads do not meet on one lock in the kernel.
#ifndef COVAULT_DEVICE_CHANNEL_H_
#define COVAULT_DEVICE_CHANNEL_H_

#include <memory>

#include "channel.h"
#include "posix.h"
#include "reply_pipe.h"

namespace covault {

// A reply must be written to the descriptor from which its request was read; deferred replies keep it open.
using SharedDescriptor = std::shared_ptr<FileDescriptor>;

// Writes one answer; 0 or an errno. ENOENT: the kernel gave the request up.
int write_reply(int fd, uint64_t unique, int error_number, Bytes fixed, Bytes bytes);
// Writes one notification; 0 or an errno.
int write_notification(int fd, int32_t code, Bytes fixed, Bytes bytes);

class DeviceChannel final : public Channel, public Deferrer {
 public:
  // `write_bytes_max` bounds requests and answers.
  DeviceChannel(SharedDescriptor descriptor, size_t write_bytes_max);

  // A further channel of the session of `session_fd`; falls back to the same descriptor if the kernel has no clones.
  static SharedDescriptor clone(const SharedDescriptor& session);

  Received receive() override;
  const wire::InHeader& header() const override { return header_; }
  Arguments arguments() const override { return Arguments({}, body_, false); }
  std::span<std::byte> space() const override { return space_.span(); }
  Deferrer* deferrer() override { return this; }
  Splicer* splicer() override { return &pipe_; }
  void send(int error_number, const Reply& reply) override;
  std::unique_ptr<DeferredReply> defer(uint64_t unique) override;

 private:
  SharedDescriptor descriptor_;
  PageBuffer input_;
  PageBuffer space_;
  ReplyPipe pipe_;
  wire::InHeader header_ = {};
  Bytes body_;
};

}  // namespace covault

#endif  // COVAULT_DEVICE_CHANNEL_H_
