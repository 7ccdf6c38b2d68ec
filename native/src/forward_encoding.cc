#include "forward_encoding.h"

#include <errno.h>
#include <sys/sysmacros.h>

#include <cstring>
#include <vector>

namespace covault {

namespace {

using Layout = ForwardLayout;

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr uint32_t kForEverMs = UINT32_MAX;
constexpr uint32_t kMsPerSecond = 1000;
constexpr uint32_t kNsPerMs = 1'000'000;

template <typename T>
T get(Bytes record, size_t place) {
  T value;
  std::memcpy(&value, record.data() + place, sizeof value);
  return value;
}

template <typename T>
Bytes bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

struct Time {
  uint64_t seconds;
  uint32_t ns;
};

Time time_of(int64_t ns) {
  int64_t seconds = ns / kNsPerSecond;
  int64_t rest = ns % kNsPerSecond;
  if (rest < 0) {
    seconds -= 1;
    rest += kNsPerSecond;
  }
  return {.seconds = static_cast<uint64_t>(seconds), .ns = static_cast<uint32_t>(rest)};
}

// The kernel's own encoding of a device number in 32 bits, which FUSE uses.
uint32_t device_of(uint64_t rdev) {
  const uint32_t minor_number = minor(rdev);
  return (minor_number & 0xff) | (static_cast<uint32_t>(major(rdev)) << 8) | ((minor_number & ~0xffu) << 12);
}

wire::Attributes attributes_of(Bytes record) {
  const Time atime = time_of(get<int64_t>(record, Layout::kAtimeNs));
  const Time mtime = time_of(get<int64_t>(record, Layout::kMtimeNs));
  const Time ctime = time_of(get<int64_t>(record, Layout::kCtimeNs));
  wire::Attributes out = {};
  out.ino = get<uint64_t>(record, Layout::kNode);
  out.size = get<uint64_t>(record, Layout::kSize);
  out.blocks = get<uint64_t>(record, Layout::kBlocks);
  out.atime = atime.seconds;
  out.atime_ns = atime.ns;
  out.mtime = mtime.seconds;
  out.mtime_ns = mtime.ns;
  out.ctime = ctime.seconds;
  out.ctime_ns = ctime.ns;
  out.mode = get<uint32_t>(record, Layout::kMode);
  out.nlink = get<uint32_t>(record, Layout::kNlink);
  out.uid = get<uint32_t>(record, Layout::kUid);
  out.gid = get<uint32_t>(record, Layout::kGid);
  out.rdev = device_of(get<uint64_t>(record, Layout::kRdev));
  out.block_bytes = wire::kPageBytes;
  return out;
}

struct Validity {
  uint64_t seconds;
  uint32_t ns;
};

Validity validity_of(Bytes record) {
  const uint32_t ms = get<uint32_t>(record, Layout::kCacheMs);
  // What the kernel cannot count any more it takes as for ever.
  if (ms == kForEverMs) return {.seconds = UINT64_MAX, .ns = 0};
  return {.seconds = ms / kMsPerSecond, .ns = ms % kMsPerSecond * kNsPerMs};
}

wire::EntryOut entry_of(Bytes record) {
  const Validity validity = validity_of(record);
  wire::EntryOut entry = {};
  entry.node = get<uint64_t>(record, Layout::kNode);
  entry.entry_valid = validity.seconds;
  entry.entry_valid_ns = validity.ns;
  if (entry.node == 0) return entry;
  entry.attributes_valid = validity.seconds;
  entry.attributes_valid_ns = validity.ns;
  entry.attributes = attributes_of(record);
  return entry;
}

// Whole items as long as they fit; empty if the payload is damaged or the first does not fit.
bool encode_items(Bytes payload, uint32_t size, bool plus, std::vector<std::byte>* out) {
  while (!payload.empty()) {
    if (payload.size() < Layout::kAttributesBytes) return false;

    const size_t name_bytes = get<uint32_t>(payload, Layout::kNameBytes);
    const size_t item_bytes = wire::record_align(Layout::kAttributesBytes + name_bytes);
    if (name_bytes == 0 || name_bytes > 255 || item_bytes > payload.size()) return false;
    const size_t entry_bytes = plus ? sizeof(wire::EntryOut) : 0;
    const size_t record_bytes = wire::record_align(entry_bytes + sizeof(wire::DirectoryEntry) + name_bytes);
    if (out->size() + record_bytes > size) break;
    const size_t start = out->size();
    out->resize(start + record_bytes);
    if (plus) {
      const bool known = get<uint32_t>(payload, Layout::kNlink) != 0;
      const wire::EntryOut entry = known ? entry_of(payload) : wire::EntryOut{};
      std::memcpy(out->data() + start, &entry, sizeof entry);
    }
    const wire::DirectoryEntry directory_entry = {.ino = get<uint64_t>(payload, Layout::kNode),
                                                  .offset = get<uint64_t>(payload, Layout::kDirectoryOffset),
                                                  .name_bytes = static_cast<uint32_t>(name_bytes),
                                                  .type = get<uint32_t>(payload, Layout::kMode) >> 12};
    std::memcpy(out->data() + start + entry_bytes, &directory_entry, sizeof directory_entry);
    std::memcpy(out->data() + start + entry_bytes + sizeof directory_entry, payload.data() + Layout::kAttributesBytes,
                name_bytes);
    payload = payload.subspan(item_bytes);
  }
  return true;
}

void send_attributes(ForwardOperation operation, Bytes payload, DeferredReply& reply) {
  if (payload.size() != Layout::kAttributesBytes) return reply.error(EIO);
  if (operation == ForwardOperation::kLookup) {
    const wire::EntryOut entry = entry_of(payload);
    return reply.data(bytes_of(entry));
  }
  const Validity validity = validity_of(payload);
  const wire::AttributesOut out = {
      .valid = validity.seconds, .valid_ns = validity.ns, .padding = 0, .attributes = attributes_of(payload)};
  reply.data(bytes_of(out));
}

void send_sized(uint32_t size, Bytes payload, DeferredReply& reply) {
  if (size != 0) return payload.size() > size ? reply.error(ERANGE) : reply.data(payload);
  const wire::GetxattrOut out = {.size = static_cast<uint32_t>(payload.size()), .padding = 0};
  reply.data(bytes_of(out));
}

}  // namespace

void send_answer(ForwardOperation operation, uint32_t size, int error, Bytes payload, DeferredReply& reply) {
  if (error != 0) return reply.error(error);
  switch (operation) {
    case ForwardOperation::kLookup:
    case ForwardOperation::kAttributes:
      return send_attributes(operation, payload, reply);
    case ForwardOperation::kReadDirectory:
    case ForwardOperation::kReadDirectoryPlus: {
      std::vector<std::byte> items;
      const bool plus = operation == ForwardOperation::kReadDirectoryPlus;
      if (!encode_items(payload, size, plus, &items)) return reply.error(EIO);
      return reply.data(items);
    }
    case ForwardOperation::kReadLink:
      return payload.empty() || payload.size() >= wire::kPageBytes ? reply.error(EIO) : reply.data(payload);
    case ForwardOperation::kRead:
      return payload.size() > size ? reply.error(EIO) : reply.data(payload);
    case ForwardOperation::kGetXattr:
    case ForwardOperation::kListXattrs:
      return send_sized(size, payload, reply);
    case ForwardOperation::kReleaseDirectory:
      return;
  }
}

}  // namespace covault
