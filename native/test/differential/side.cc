#include "side.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

std::string attributes_text(const struct stat& st) {
  char text[160];
  // A directory's size and link count are the file system's own affair.
  const bool directory = S_ISDIR(st.st_mode);
  std::snprintf(text, sizeof text, "mode %o owner %u:%u size %lld links %lu rdev %lu", st.st_mode, st.st_uid, st.st_gid,
                directory ? 0LL : static_cast<long long>(st.st_size), directory ? 0UL : st.st_nlink, st.st_rdev);
  return text;
}

// Binary form of an access control list as it stands in the attribute (version 2), with the caller's groups of bits.
std::vector<char> acl_of(uint32_t bits) {
  struct Entry {
    uint16_t tag, permissions;
    uint32_t id;
  };
  constexpr uint32_t nobody = ~0u;
  const auto three = [&bits](int shift) { return static_cast<uint16_t>(bits >> shift & 7); };
  const Entry entries[] = {{1, 7, nobody},          {2, three(2), 1000},       {4, three(5), nobody}, {8, three(8), 1001},
                           {16, three(11), nobody}, {32, three(14), nobody}};
  std::vector<char> bytes(4 + sizeof entries);
  bytes[0] = 2;
  std::memcpy(bytes.data() + 4, entries, sizeof entries);
  return bytes;
}

std::string sorted_names(int directory) {
  DIR* stream = fdopendir(directory);
  if (!stream) return "unreadable";
  for (int i = 0; i < 3; i++) readdir(stream);
  rewinddir(stream);
  std::vector<std::string> names;
  while (const dirent* entry = readdir(stream)) names.push_back(std::string(entry->d_name) + static_cast<char>('0' + entry->d_type));
  closedir(stream);
  std::sort(names.begin(), names.end());
  std::string all;
  for (const auto& name : names) all += name + '\n';
  return all;
}

}  // namespace

Outcome outcome_of(int64_t result, std::string detail) {
  if (result < 0) return {-1, errno, {}};
  return {result, 0, std::move(detail)};
}

std::vector<char> bytes_of(uint64_t seed, uint64_t length) {
  std::vector<char> bytes(length);
  uint64_t state = seed * 2685821657736338717ull + 1;
  for (auto& byte : bytes) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    byte = static_cast<char>(state >> 32);
  }
  return bytes;
}

Side::Side(const std::string& directory) : base_(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
  if (base_ < 0) {
    std::perror(directory.c_str());
    std::exit(2);
  }
  slots_.fill(-1);
}

Side::~Side() {
  for (int mapping = 0; mapping < kMappings; mapping++) drop(mapping);
  for (const int fd : slots_) {
    if (fd >= 0) close(fd);
  }
  close(base_);
}

std::string Side::magic_path(const char* path) const {
  return "/proc/self/fd/" + std::to_string(base_) + "/" + path;
}

Outcome Side::perform(const Operation& operation) {
  switch (operation.kind) {
    case Kind::kMkdir: case Kind::kRmdir: case Kind::kUnlink: case Kind::kRename: case Kind::kLink: case Kind::kSymlink:
    case Kind::kReadlink: case Kind::kMknod: case Kind::kList: case Kind::kTmpfile: case Kind::kLinkTmpfile: case Kind::kOpen:
    case Kind::kOpenFollowing:
      return on_name(operation);
    case Kind::kTruncate: case Kind::kChmod: case Kind::kChown: case Kind::kUtimens: case Kind::kStat: case Kind::kAccess:
    case Kind::kFchmod: case Kind::kFchown: case Kind::kFutimens: case Kind::kStatfs:
      return on_attributes(operation);
    case Kind::kSetXattr: case Kind::kGetXattr: case Kind::kListXattr: case Kind::kRemoveXattr:
    case Kind::kSetAcl: case Kind::kGetAcl:
      return on_xattrs(operation);
    case Kind::kFlock: case Kind::kRangeLock: case Kind::kOfdLock: case Kind::kTellLock:
      return on_lock(operation);
    case Kind::kKeepMapping: return keep_mapping(operation);
    case Kind::kUseMapping: return use_mapping(operation);
    default:
      return on_file(operation);
  }
}

// Puts a freshly opened file into its slot; one that did not open leaves the slot's file open.
Outcome Side::keep(int& slot, int opened) {
  if (opened < 0) return outcome_of(-1);
  if (slot >= 0) close(slot);
  slot = opened;
  return {};
}

Outcome Side::on_name(const Operation& op) {
  int& slot = slots_[op.slot];
  switch (op.kind) {
    case Kind::kOpen:
      return keep(slot, openat(base_, op.path, static_cast<int>(op.flags) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
    case Kind::kOpenFollowing:
      return keep(slot, openat(base_, op.path, static_cast<int>(op.flags) | O_CLOEXEC | O_NONBLOCK, 0666));
    case Kind::kMkdir: return outcome_of(mkdirat(base_, op.path, op.flags & 07777));
    case Kind::kRmdir: return outcome_of(unlinkat(base_, op.path, AT_REMOVEDIR));
    case Kind::kUnlink: return outcome_of(unlinkat(base_, op.path, 0));
    case Kind::kRename: return outcome_of(syscall(SYS_renameat2, base_, op.path, base_, op.path2, op.flags));
    case Kind::kLink: return outcome_of(linkat(base_, op.path, base_, op.path2, 0));
    case Kind::kSymlink: return outcome_of(symlinkat(op.path2, base_, op.path));
    case Kind::kReadlink: {
      char target[kPathBytes + 1];
      const ssize_t length = readlinkat(base_, op.path, target, sizeof target);
      return outcome_of(length, length < 0 ? "" : std::string(target, static_cast<size_t>(length)));
    }
    case Kind::kMknod: return outcome_of(mknodat(base_, op.path, S_IFIFO | (op.flags & 0777), 0));
    case Kind::kList: {
      const int directory = openat(base_, op.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
      if (directory < 0) return outcome_of(-1);
      return {0, 0, sorted_names(directory)};
    }
    case Kind::kTmpfile: return keep(slot, openat(base_, op.path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    default: {
      const std::string file = "/proc/self/fd/" + std::to_string(slot);
      return outcome_of(linkat(AT_FDCWD, file.c_str(), base_, op.path, AT_SYMLINK_FOLLOW));
    }
  }
}

Outcome Side::on_attributes(const Operation& op) {
  switch (op.kind) {
    case Kind::kTruncate: {
      // truncate(2) follows links and has no *at form: only the last name may be a link, and none of ours leaves the side.
      struct stat st;
      if (fstatat(base_, op.path, &st, AT_SYMLINK_NOFOLLOW) < 0) return outcome_of(-1);
      if (S_ISLNK(st.st_mode)) return {};
      return outcome_of(truncate(magic_path(op.path).c_str(), static_cast<off_t>(op.offset)));
    }
    case Kind::kChmod: {
      struct stat st;
      if (fstatat(base_, op.path, &st, AT_SYMLINK_NOFOLLOW) < 0) return outcome_of(-1);
      if (S_ISLNK(st.st_mode)) return {};
      return outcome_of(fchmodat(base_, op.path, op.flags & 07777, 0));
    }
    case Kind::kChown:
      return outcome_of(fchownat(base_, op.path, op.flags & 1 ? 1000 : 0, op.flags & 2 ? 1000 : 0, AT_SYMLINK_NOFOLLOW));
    case Kind::kUtimens: {
      const timespec times[2] = {{static_cast<time_t>(op.offset), 1}, {static_cast<time_t>(op.offset2), 999'999'999}};
      if (utimensat(base_, op.path, times, AT_SYMLINK_NOFOLLOW) < 0) return outcome_of(-1);
      struct stat st;
      if (fstatat(base_, op.path, &st, AT_SYMLINK_NOFOLLOW) < 0) return outcome_of(-1);
      return {0, 0, std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec)};
    }
    case Kind::kFchmod: return outcome_of(fchmod(slots_[op.slot], op.flags & 07777));
    case Kind::kFchown:
      return outcome_of(fchown(slots_[op.slot], op.flags & 1 ? 1000 : static_cast<uid_t>(-1), op.flags & 2 ? 1001 : 0));
    case Kind::kFutimens: {
      const timespec at{static_cast<time_t>(op.offset), 7};
      const timespec special{0, op.flags & 1 ? UTIME_NOW : UTIME_OMIT};
      const timespec times[2] = {op.flags & 2 ? special : at, op.flags & 4 ? special : at};
      const int result = futimens(slots_[op.slot], times);
      struct stat st;
      if (result < 0 || fstat(slots_[op.slot], &st) < 0) return outcome_of(-1);
      return {0, 0, op.flags & 4 ? "" : std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec)};
    }
    case Kind::kStatfs: {
      struct statfs status;
      if (fstatfs(slots_[op.slot], &status) < 0) return outcome_of(-1);
      return {status.f_namelen, 0, std::to_string(status.f_blocks) + " blocks of " + std::to_string(status.f_bsize)};
    }
    case Kind::kAccess: return outcome_of(faccessat(base_, op.path, static_cast<int>(op.flags & 7), AT_EACCESS));
    default: {
      struct stat st;
      const int result = fstatat(base_, op.path, &st, AT_SYMLINK_NOFOLLOW);
      return outcome_of(result, result < 0 ? "" : attributes_text(st));
    }
  }
}

Outcome Side::on_xattrs(const Operation& op) {
  const std::string path = magic_path(op.path);
  const std::string name = "user.x" + std::to_string(op.flags % 3);
  char buffer[8192];
  switch (op.kind) {
    case Kind::kSetXattr: {
      const auto value = bytes_of(op.seed, op.length % 200);
      return outcome_of(lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), static_cast<int>(op.flags / 3 % 3)));
    }
    case Kind::kGetXattr: {
      const ssize_t length = lgetxattr(path.c_str(), name.c_str(), buffer, op.flags & 8 ? op.length % 64 : sizeof buffer);
      const bool sized = length >= 0 && !((op.flags & 8) && op.length % 64 == 0);
      return outcome_of(length, sized ? std::string(buffer, static_cast<size_t>(length)) : "");
    }
    case Kind::kListXattr: {
      const ssize_t length = llistxattr(path.c_str(), buffer, sizeof buffer);
      if (length < 0) return outcome_of(-1);
      std::vector<std::string> names;
      for (const char* at = buffer; at < buffer + length; at += std::strlen(at) + 1) names.emplace_back(at);
      std::sort(names.begin(), names.end());
      std::string all;
      for (const auto& one : names) all += one + '\n';
      return {0, 0, all};
    }
    case Kind::kSetAcl: {
      const auto acl = acl_of(op.flags);
      const char* acl_name = op.flags & 1 ? "system.posix_acl_default" : "system.posix_acl_access";
      return outcome_of(lsetxattr(path.c_str(), acl_name, acl.data(), acl.size(), 0));
    }
    case Kind::kGetAcl: {
      const ssize_t length = lgetxattr(path.c_str(), "system.posix_acl_access", buffer, sizeof buffer);
      return outcome_of(length, length < 0 ? "" : std::string(buffer, static_cast<size_t>(length)));
    }
    default: return outcome_of(lremovexattr(path.c_str(), name.c_str()));
  }
}

Outcome Side::on_file(const Operation& op) {
  int& slot = slots_[op.slot];
  switch (op.kind) {
    case Kind::kClose: {
      const int result = close(slot);
      slot = -1;
      return outcome_of(result);
    }
    case Kind::kWrite: case Kind::kAppendWrite: {
      const auto bytes = bytes_of(op.seed, op.length);
      if (op.kind == Kind::kWrite) return outcome_of(pwrite(slot, bytes.data(), bytes.size(), static_cast<off_t>(op.offset)));
      return outcome_of(write(slot, bytes.data(), bytes.size()));
    }
    case Kind::kRead: {
      std::string bytes(op.length, '\0');
      const ssize_t length = pread(slot, bytes.data(), bytes.size(), static_cast<off_t>(op.offset));
      bytes.resize(length < 0 ? 0 : static_cast<size_t>(length));
      return outcome_of(length, bytes);
    }
    case Kind::kFtruncate: return outcome_of(ftruncate(slot, static_cast<off_t>(op.offset)));
    case Kind::kFstat: {
      struct stat st;
      const int result = fstat(slot, &st);
      return outcome_of(result, result < 0 ? "" : attributes_text(st));
    }
    case Kind::kSeekData: case Kind::kSeekHole: return seek(op);
    case Kind::kFallocate:
      return outcome_of(fallocate(slot, static_cast<int>(op.flags), static_cast<off_t>(op.offset), static_cast<off_t>(op.length)));
    case Kind::kCopyRange: {
      off64_t from = static_cast<off64_t>(op.offset);
      off64_t to = static_cast<off64_t>(op.offset2);
      return outcome_of(copy_file_range(slot, &from, slots_[op.slot2], &to, op.length, 0));
    }
    case Kind::kFlaggedWrite: {
      auto bytes = bytes_of(op.seed, op.length);
      const iovec part{bytes.data(), bytes.size()};
      const int flags = op.flags & 1 ? RWF_APPEND : RWF_DSYNC;
      return outcome_of(pwritev2(slot, &part, 1, op.flags & 2 ? -1 : static_cast<off_t>(op.offset), flags));
    }
    case Kind::kSendfile: {
      off_t from = static_cast<off_t>(op.offset);
      return outcome_of(sendfile(slots_[op.slot2], slot, &from, op.length));
    }
    case Kind::kMapWrite: return map(op, true);
    case Kind::kMapRead: return map(op, false);
    default: return outcome_of(op.flags & 1 ? fsync(slot) : fdatasync(slot));
  }
}

// Where holes begin is the file system's own affair; that data is never called a hole, and where a file ends, is not.
Outcome Side::seek(const Operation& op) {
  const int fd = slots_[op.slot];
  struct stat st;
  if (fstat(fd, &st) < 0) return outcome_of(-1);
  if (!S_ISREG(st.st_mode)) return {};
  const off_t offset = static_cast<off_t>(op.offset);
  const off_t position = lseek(fd, 0, SEEK_CUR);
  const off_t found = lseek(fd, offset, op.kind == Kind::kSeekData ? SEEK_DATA : SEEK_HOLE);
  const int error = errno;
  lseek(fd, position, SEEK_SET);  // where the sides may differ, later writes must not
  errno = error;
  if (offset >= st.st_size) return outcome_of(found);
  if (op.kind == Kind::kSeekHole) return {0, 0, found >= offset && found <= st.st_size ? "" : "a hole outside the file"};
  if (found < 0 && errno != ENXIO) return outcome_of(-1);
  std::vector<char> skipped(static_cast<size_t>((found < 0 ? st.st_size : found) - offset));
  const ssize_t length = pread(fd, skipped.data(), skipped.size(), offset);
  const bool zeros = length < 0 || std::all_of(skipped.begin(), skipped.begin() + length, [](char c) { return c == 0; });
  return {0, 0, zeros ? "" : "data was called a hole"};
}

// Maps one page's worth inside the file, writes or reads it, and lets the mapping go.
Outcome Side::map(const Operation& op, bool write) {
  struct stat st;
  const int fd = slots_[op.slot];
  if (fstat(fd, &st) < 0) return outcome_of(-1);
  if (!S_ISREG(st.st_mode) || st.st_size == 0) return {};
  const auto page = static_cast<off_t>(op.offset % static_cast<uint64_t>(st.st_size)) & ~4095;
  const size_t length = static_cast<size_t>(std::min<off_t>(4096, st.st_size - page));
  void* memory = mmap(nullptr, length, write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, page);
  if (memory == MAP_FAILED) return outcome_of(-1);
  std::string seen;
  if (write) {
    const auto bytes = bytes_of(op.seed, length);
    std::memcpy(memory, bytes.data(), length);
  } else {
    seen.assign(static_cast<const char*>(memory), length);
  }
  munmap(memory, length);
  return {0, 0, seen};
}
