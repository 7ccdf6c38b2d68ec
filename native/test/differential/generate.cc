#include "generate.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>

#include <cstdio>
#include <cstring>
#include <vector>

namespace {

constexpr uint64_t kFileBytesMax = 300'000;

const std::vector<std::string>& names() {
  static const std::vector<std::string> all{
      "directory", "other directory", "a", "b", "c", "with space", "new\nline", "\xff\xfe\x80", "-n", "ümlaut", std::string(255, 'l'),
  };
  return all;
}

}  // namespace

// A path of up to three names. Directories have names of their own for the most part, or files would stand where the
// directories should.
void Generator::random_path(char (&path)[kPathBytes], bool directory) {
  const auto directory_name = [this] { return names()[below(below(8) ? 2 : names().size())]; };
  const auto file_name = [this] { return names()[below(8) ? 2 + below(below(2) ? 3 : names().size() - 2) : below(2)]; };
  std::string text;
  for (uint64_t depth = below(3); depth > 0; depth--) text += directory_name() + "/";
  text += directory ? directory_name() : file_name();
  if (text.size() >= kPathBytes) text = "a";
  std::memset(path, 0, sizeof path);
  std::memcpy(path, text.data(), text.size());
}

Operation Generator::next() {
  Operation op{};
  op.kind = static_cast<Kind>(below(static_cast<uint64_t>(Kind::kCount)));
  // Opening and writing must outweigh closing and unlinking, or there is nothing to work on.
  if (op.kind == Kind::kClose && below(4)) op.kind = Kind::kOpen;
  if (below(3) == 0) op.kind = below(2) ? Kind::kOpen : below(4) ? Kind::kWrite : Kind::kMkdir;
  op.flags = static_cast<uint32_t>(random_());
  op.slot = static_cast<uint32_t>(below(kSlots));
  op.slot2 = static_cast<uint32_t>(below(kSlots));
  op.offset = below(4) ? below(kFileBytesMax) : below(kFileBytesMax) & ~4095ull;
  op.offset2 = below(kFileBytesMax);
  op.length = below(8) ? 1 + below(20'000) : 1 + below(200'000);
  op.seed = random_();
  const bool directory = op.kind == Kind::kMkdir || op.kind == Kind::kRmdir || op.kind == Kind::kTmpfile ||
                         op.kind == Kind::kList || below(12) == 0;
  random_path(op.path, directory);
  random_path(op.path2, directory);
  switch (op.kind) {
    case Kind::kOpen:
    case Kind::kOpenFollowing: {
      constexpr int modes[] = {O_RDONLY, O_RDWR, O_RDWR, O_WRONLY};
      constexpr int extras[] = {0, O_CREAT, O_CREAT, O_CREAT | O_EXCL, O_TRUNC, O_CREAT | O_TRUNC, O_APPEND, O_CREAT | O_APPEND};
      op.flags = static_cast<uint32_t>(modes[below(4)] | extras[below(8)]);
      break;
    }
    case Kind::kRename: {
      constexpr uint32_t flags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT};
      op.flags = flags[below(privileged_ ? 6 : 5)];
      break;
    }
    case Kind::kFallocate: {
      constexpr int flags[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE,
                               FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
      op.flags = static_cast<uint32_t>(flags[below(5)]);
      break;
    }
    case Kind::kFlock: {
      constexpr int flags[] = {LOCK_SH, LOCK_EX, LOCK_UN};
      op.flags = static_cast<uint32_t>(flags[below(3)]);
      break;
    }
    case Kind::kSetAcl:
      if (!privileged_) op.kind = Kind::kGetAcl;
      break;
    case Kind::kMkdir:
    case Kind::kChmod:
    case Kind::kFchmod:
      if (below(4)) op.flags = 0777;
      if (!privileged_) op.flags = (op.flags & ~06000u) | 0700u;
      break;
    case Kind::kTmpfile:
      std::snprintf(op.path, sizeof op.path, "%s", below(2) ? "." : "directory");
      break;
    default: break;
  }
  return op;
}

const char* name_of(Kind kind) {
  static const char* const all[] = {
      "open", "close", "write", "append", "read", "truncate", "ftruncate", "mkdir", "rmdir", "unlink", "rename", "link",
      "symlink", "readlink", "mknod", "chmod", "chown", "utimens", "stat", "fstat", "access", "list", "seek-data", "seek-hole",
      "fallocate", "copy-range", "set-xattr", "get-xattr", "list-xattr", "remove-xattr", "flock", "range-lock", "map-write",
      "map-read", "fsync", "tmpfile", "link-tmpfile", "open-following", "fchmod", "fchown", "futimens", "statfs", "set-acl",
      "get-acl", "flagged-write", "sendfile", "ofd-lock", "tell-lock", "keep-mapping", "use-mapping",
  };
  static_assert(sizeof all / sizeof *all == static_cast<size_t>(Kind::kCount));
  return all[static_cast<size_t>(kind)];
}

std::string text_of(const Operation& op) {
  char numbers[200];
  std::snprintf(numbers, sizeof numbers, " flags %#o slots %u %u offset %llu length %llu offset2 %llu", op.flags, op.slot,
                op.slot2, static_cast<unsigned long long>(op.offset), static_cast<unsigned long long>(op.length),
                static_cast<unsigned long long>(op.offset2));
  return std::string(name_of(op.kind)) + " '" + op.path + "' '" + op.path2 + "'" + numbers;
}

std::string Outcome::text() const {
  return "returned " + std::to_string(value) + " errno " + std::to_string(error) + " (" + std::to_string(detail.size()) +
         " bytes) " + detail.substr(0, 300);
}
