// The answer to one request. A handler fills a Reply; the transport sends it after the handler has returned.
#ifndef COVAULT_REPLY_H_
#define COVAULT_REPLY_H_

#include <sys/types.h>

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

// Answers a request with a part of a file without a copy of it in this process; implemented by the transport.
class Splicer {
 public:
  virtual ~Splicer() = default;
  // Takes exactly `bytes` of `fd` from `offset` as the whole answer to `unique`. False: nothing was taken, because it is
  // too much, the file ended before, or its file system cannot.
  virtual bool fill(uint64_t unique, int fd, off_t offset, size_t bytes) = 0;
};

// What an operation returns: 0 (the reply as filled), a positive errno, or kDeferred.
using Outcome = int;
inline constexpr Outcome kDeferred = -1;

class Reply {
 public:
  // `space`: page-aligned memory of the transport for large answers. `deferrer` and `splicer` may be null (io_uring).
  Reply(uint64_t unique, std::span<std::byte> space, Deferrer* deferrer, Splicer* splicer = nullptr)
      : unique_(unique), space_(space), deferrer_(deferrer), splicer_(splicer) {}
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

  // Makes a part of a file the whole answer (see Splicer); if false, build it in `space`.
  bool splice(int fd, off_t offset, size_t bytes) {
    if (bytes == 0 || splicer_ == nullptr || !splicer_->fill(unique_, fd, offset, bytes)) return false;
    spliced_bytes_ = bytes;
    return true;
  }

  // Takes the request over for a later answer; the operation then returns kDeferred. Null if the transport cannot
  // (see Handler::answers_later).
  std::unique_ptr<DeferredReply> defer() { return deferrer_ == nullptr ? nullptr : deferrer_->defer(unique_); }

  uint64_t unique() const { return unique_; }
  Bytes fixed() const { return Bytes(fixed_.data(), fixed_bytes_); }
  Bytes bytes() const { return bytes_; }
  bool is_spliced() const { return spliced_bytes_ > 0; }
  // Of the answer without its fixed structures.
  size_t content_bytes() const { return is_spliced() ? spliced_bytes_ : bytes_.size(); }

 private:
  static constexpr size_t kFixedBytesMax = 320;

  uint64_t unique_;
  std::span<std::byte> space_;
  Deferrer* deferrer_;
  Splicer* splicer_;
  size_t spliced_bytes_ = 0;
  alignas(8) std::array<std::byte, kFixedBytesMax> fixed_;
  size_t fixed_bytes_ = 0;
  Bytes bytes_;
};

}  // namespace covault

#endif  // COVAULT_REPLY_H_
