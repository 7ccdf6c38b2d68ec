// One channel of the io_uring transport: one entry of one of the kernel's queues, served by one thread.
//
// The kernel keeps a queue per processor and gives a request to an entry of the caller's processor that is waiting.
// With one entry per thread only threads that are free ever get one, so a slow request stops nobody. The answer to a
// request and the wait for the next one are a single system call. FORGET and INTERRUPT still come through /dev/fuse.
#ifndef COVAULT_URING_CHANNEL_H_
#define COVAULT_URING_CHANNEL_H_

#include <sys/uio.h>

#include <vector>

#include "device_channel.h"
#include "uring.h"

namespace covault {

// Queues that a ring has: one for each processor that the machine may ever have. 0 = FUSE over io_uring is not offered.
unsigned uring_queues();

class UringChannel final : public Channel {
 public:
  UringChannel(SharedDescriptor device, unsigned queue, size_t write_bytes_max);

  // Makes the ring; by the thread that serves the channel, before INIT is answered. 0 or an errno.
  int open() { return ring_.open(); }
  // Offers the entry to the kernel; after INIT was answered. The first `receive` then waits for a request.
  void enlist();

  Received receive() override;
  const wire::InHeader& header() const override { return header_; }
  Arguments arguments() const override;
  std::span<std::byte> space() const override { return payload_.span(); }
  Deferrer* deferrer() override { return nullptr; }
  void send(int error_number, const Reply& reply) override;
  // An entry is handed back all the same.
  void pass(const Reply& reply) override { send(0, reply); }
  void flush() override { ring_.submit(); }

 private:
  struct Headers;
  Headers* headers() const { return reinterpret_cast<Headers*>(headers_.span().data()); }
  void prepare(uint32_t operation, uint64_t commit_id);

  const SharedDescriptor device_;
  const unsigned queue_;
  PageBuffer headers_;
  PageBuffer payload_;
  // Names and small values, moved out of the payload, which takes the answer.
  std::vector<std::byte> small_;
  iovec parts_[2] = {};
  Uring ring_;
  wire::InHeader header_ = {};
  Bytes body_;
};

}  // namespace covault

#endif  // COVAULT_URING_CHANNEL_H_
