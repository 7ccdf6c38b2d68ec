// A decoded request header and a bounds-checked reader of what follows it. Free of Node.js and of any transport.
//
// A request reaches the decoder in two parts. /dev/fuse delivers everything after the header in one piece (`body`).
// An io_uring entry delivers the first, fixed structure apart (`fixed`, of unspecified length beyond the structure) and
// the rest in `body`. `Arguments` hides the difference.
#ifndef COVAULT_REQUEST_H_
#define COVAULT_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "wire.h"

namespace covault {

using Bytes = std::span<const std::byte>;

// What every operation may want to know of its request. Lives until the request has been handled.
struct Request {
  uint32_t opcode = 0;
  uint64_t unique = 0;
  uint64_t node = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t pid = 0;
};

// Reads the arguments of a request in order. After the first failed read every further one fails too, so that a
// decoder may read everything and ask `valid()` once. Nothing is copied but fixed structures.
class Arguments {
 public:
  // `fixed_apart`: the first structure stands in `fixed` (io_uring); else all stands in `body`.
  Arguments(Bytes fixed, Bytes body, bool fixed_apart) : fixed_(fixed), body_(body), fixed_apart_(fixed_apart) {}

  // The first, fixed structure of the request. `bytes` may be less than the structure's size for protocol variants; the
  // rest is zero then.
  template <typename T>
  T fixed(size_t bytes = sizeof(T)) {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    const Bytes source = take(fixed_apart_ ? fixed_ : body_, bytes);
    if (valid_) std::memcpy(&value, source.data(), bytes);
    return value;
  }

  // Bytes up to the next zero byte, which is consumed. Invalid: none, or more than `bytes_max`.
  std::string_view text(size_t bytes_max);

  // A name within a directory: not empty, without '/', and neither "." nor "..". It may be too long for a file system.
  std::string_view name();

  Bytes bytes(size_t count) { return take(body_, count); }
  size_t remaining() const { return body_.size(); }
  bool valid() const { return valid_; }

  // Takes `count` bytes off the end of the body.
  Bytes take_tail(size_t count);

 private:
  Bytes take(Bytes& from, size_t count);

  Bytes fixed_;
  Bytes body_;
  bool fixed_apart_;
  bool valid_ = true;
};

}  // namespace covault

#endif  // COVAULT_REQUEST_H_
