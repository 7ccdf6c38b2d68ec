// The answer to one request. A handler fills a Reply; the transport sends it after the handler has returned.
#ifndef COVAULT_REPLY_H_
#define COVAULT_REPLY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>

#include "request.h"

namespace covault {

// Answers one request later and from any thread; exactly one of the two calls, once. Destroyed unanswered, it answers
// EIO. Harmless after the connection has ended.
class DeferredReply {
 public:
  virtual ~DeferredReply() = default;
  virtual void error(int error_number) = 0;
  virtual void data(Bytes bytes) = 0;  // copied before the call returns
};

// Makes a request answerable later; implemented by the transport.
class Deferrer {
 public:
  virtual ~Deferrer() = default;
  virtual std::unique_ptr<DeferredReply> defer(uint64_t unique) = 0;
};

// What an operation returns: 0 (the reply as filled), a positive errno, or kDeferred.
using Outcome = int;
inline constexpr Outcome kDeferred = -1;

class Reply {
 public:
  // `space`: page-aligned memory of the transport for large answers. `deferrer` may be null (io_uring).
  Reply(uint64_t unique, std::span<std::byte> space, Deferrer* deferrer)
      : unique_(unique), space_(space), deferrer_(deferrer) {}
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  // Appends a fixed structure; they precede the bytes.
  template <typename T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kFixedBytesMax);
    if (fixed_bytes_ + sizeof(T) > kFixedBytesMax) return;  // unreachable: no reply has more
    std::memcpy(fixed_.data() + fixed_bytes_, &value, sizeof(T));
    fixed_bytes_ += sizeof(T);
  }

  // Memory in which to build the bytes of the answer, at least as large as any answer the kernel accepts. Valid until
  // the handler returns; fill it and call `use_space`.
  std::span<std::byte> space() const { return space_; }
  void use_space(size_t bytes) { bytes_ = Bytes(space_.data(), bytes); }

  // Bytes that live until the reply has been sent (owned by the handler, or constants).
  void put_bytes(Bytes bytes) { bytes_ = bytes; }

  // Takes the request over for a later answer; the operation then returns kDeferred. Null if the transport cannot
  // (see Handler::answers_later).
  std::unique_ptr<DeferredReply> defer() { return deferrer_ == nullptr ? nullptr : deferrer_->defer(unique_); }

  uint64_t unique() const { return unique_; }
  Bytes fixed() const { return Bytes(fixed_.data(), fixed_bytes_); }
  Bytes bytes() const { return bytes_; }

 private:
  static constexpr size_t kFixedBytesMax = 320;

  uint64_t unique_;
  std::span<std::byte> space_;
  Deferrer* deferrer_;
  alignas(8) std::array<std::byte, kFixedBytesMax> fixed_;
  size_t fixed_bytes_ = 0;
  Bytes bytes_;
};

}  // namespace covault

#endif  // COVAULT_REPLY_H_
