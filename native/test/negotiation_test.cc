#include "negotiation.h"

#include <cerrno>

#include "check.h"

using namespace covault;

namespace {

wire::InitIn kernel(uint32_t minor, uint64_t flags) {
  return {.major = 7,
          .minor = minor,
          .max_readahead = 131072,
          .flags = static_cast<uint32_t>(flags | wire::kInitExtended),
          .flags2 = static_cast<uint32_t>(flags >> 32),
          .unused = {}};
}

Wishes all_wishes() {
  Wishes wishes;
  wishes.data_mode = DataMode::kWriteback;
  wishes.zero_message_open = true;
  wishes.posix_acl = true;
  wishes.kill_privileges = true;
  return wishes;
}

}  // namespace

TEST("nothing is agreed on that the kernel did not offer") {
  const uint64_t offered = wire::kInitAsyncRead | wire::kInitMaxPages | wire::kInitBigWrites;
  const Negotiated result = negotiate(kernel(45, offered), all_wishes(), true);
  CHECK(result.error == 0);
  CHECK((result.out.flags & ~(offered | wire::kInitExtended)) == 0 && result.out.flags2 == 0);
  CHECK(result.connection.data_mode == DataMode::kWriteThrough);
  CHECK(!result.connection.zero_message_open);
}

TEST("everything wished for is granted by a kernel that has it") {
  const Negotiated result = negotiate(kernel(45, ~0ull), all_wishes(), true);
  CHECK(result.connection.data_mode == DataMode::kWriteback);
  CHECK(result.connection.zero_message_open);
  CHECK(result.connection.write_bytes_max == 1u << 20 && result.out.max_pages == 256);
  CHECK((result.connection.flags & wire::kInitOverIoUring) != 0);
  CHECK(result.out.time_granularity == 1);
  // Locks, O_TRUNC in OPEN and automatic invalidation are never asked for.
  CHECK((result.out.flags & (1u << 1)) == 0 && (result.out.flags & (1u << 10)) == 0);
  CHECK((result.out.flags & (wire::kInitAtomicTruncate | wire::kInitAutoInvalidateData)) == 0);
}

TEST("write-through and device transport are one switch each") {
  Wishes wishes = all_wishes();
  wishes.data_mode = DataMode::kWriteThrough;
  const Negotiated result = negotiate(kernel(45, ~0ull), wishes, false);
  CHECK((result.out.flags & wire::kInitWritebackCache) == 0);
  CHECK((result.connection.flags & wire::kInitOverIoUring) == 0);
}

TEST("a kernel without large requests gets the old limits") {
  const Negotiated result = negotiate(kernel(31, 0), all_wishes(), false);
  CHECK(result.error == 0 && result.connection.write_bytes_max == 128 * 1024);
}

TEST("kernels that are too old are refused") {
  CHECK(negotiate(kernel(30, ~0ull), {}, false).error == EPROTO);
  wire::InitIn other = kernel(45, ~0ull);
  other.major = 8;
  CHECK(negotiate(other, {}, false).error == EPROTO);
}

TEST("both lengths of INIT are read and shorter ones are not") {
  const wire::InitIn in = kernel(40, ~0ull);
  const auto* bytes = reinterpret_cast<const std::byte*>(&in);
  wire::InitIn read;
  CHECK(decode_init(Arguments({}, Bytes(bytes, sizeof(in)), false), &read) && read.flags2 == in.flags2);
  CHECK(decode_init(Arguments({}, Bytes(bytes, wire::kInitInShortBytes), false), &read) && read.flags2 == 0);
  CHECK(!decode_init(Arguments({}, Bytes(bytes, 12), false), &read));
}
