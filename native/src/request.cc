#include "request.h"

namespace covault {

namespace {
// The kernel sends names that are longer than any file system takes, so that the one below says ENAMETOOLONG itself.
constexpr size_t kNameBytesMax = 4095;
}  // namespace

Bytes Arguments::take(Bytes& from, size_t count) {
  if (!valid_ || from.size() < count) {
    valid_ = false;
    return {};
  }
  const Bytes taken = from.first(count);
  from = from.subspan(count);
  return taken;
}

Bytes Arguments::take_tail(size_t count) {
  if (!valid_ || body_.size() < count) {
    valid_ = false;
    return {};
  }
  const Bytes taken = body_.last(count);
  body_ = body_.first(body_.size() - count);
  return taken;
}

std::string_view Arguments::text(size_t bytes_max) {
  if (!valid_) return {};
  const void* end = body_.empty() ? nullptr : std::memchr(body_.data(), 0, body_.size());
  if (end == nullptr) {
    valid_ = false;
    return {};
  }
  const char* start = reinterpret_cast<const char*>(body_.data());
  const std::string_view text(start, static_cast<size_t>(static_cast<const char*>(end) - start));
  if (text.size() > bytes_max) {
    valid_ = false;
    return {};
  }
  body_ = body_.subspan(text.size() + 1);
  return text;
}

std::string_view Arguments::name() {
  const std::string_view name = text(kNameBytesMax);
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos) {
    valid_ = false;
    return {};
  }
  return name;
}

}  // namespace covault
