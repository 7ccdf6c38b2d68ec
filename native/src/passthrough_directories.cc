// Directories: OPENDIR, READDIR, READDIRPLUS, RELEASEDIR, FSYNCDIR.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "passthrough_handler.h"

namespace covault {

namespace {

// An entry as getdents64 writes it.
struct RawEntry {
  uint64_t ino;
  int64_t offset;
  uint16_t bytes;
  uint8_t type;
  char name[];
};
constexpr size_t kRawHeaderBytes = 19;
static_assert(offsetof(RawEntry, name) == kRawHeaderBytes);

// How many times as long an entry of an answer may be as what getdents64 writes for it: a name of one byte takes 24 bytes
// there, 32 in an answer to READDIR and 160 in one to READDIRPLUS. So much less is read that all of it fits, and the next
// request goes on where the descriptor stands.
constexpr size_t kPlainExpansion = 2;
constexpr size_t kPlusExpansion = 7;
// The longest entry of getdents64.
constexpr size_t kRawEntryBytesMax = 280;

bool is_dot(const char* name) { return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0)); }

// Reads raw entries from `offset` on, which is whatever the file system below gives, and moves there only if it must: a
// listing shall end although its reader renames what it has read, and what btrfs lists is what there was at the last
// lseek(2). From the start, everything shall be seen that there is now.
ssize_t read_raw(OpenDescriptor& directory, uint64_t offset, std::span<std::byte> buffer) {
  const std::lock_guard lock(directory.position);
  const int fd = directory.fd.get();
  if ((offset == 0 || offset != directory.next_entry) && lseek(fd, static_cast<off_t>(offset), SEEK_SET) < 0) return -1;
  directory.next_entry = offset;
  const ssize_t count = syscall(SYS_getdents64, fd, buffer.data(), buffer.size());
  for (ssize_t at = 0; at < count;) {
    const auto* entry = reinterpret_cast<const RawEntry*>(buffer.data() + at);
    directory.next_entry = static_cast<uint64_t>(entry->offset);
    at += entry->bytes;
  }
  return count;
}

}  // namespace

Outcome PassthroughHandler::opendir(const Request& request, const wire::OpenIn& in, Reply& reply) {
  if (connection_.zero_message_open) return ENOSYS;
  constexpr uint32_t kFlags = wire::kOpenKeepCache | wire::kOpenCacheDirectory;
  uint64_t handle = 0;
  if (!stateless_) {
    int error = 0;
    const Lease lease = nodes_->path(request.node, &error);
    if (lease == nullptr) return error;
    const int noatime = static_cast<int>(in.flags) & O_NOATIME;
    // Not by ".": that asks for permission to search, and a directory that may only be read can be listed.
    const std::string path = "/proc/self/fd/" + std::to_string(lease->fd.get());
    FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | noatime));
    if (!fd.is_open()) return errno;
    handle = open_files_.add(std::move(fd), Access::kRead);
  }
  reply.put(wire::OpenOut{.handle = handle, .open_flags = kFlags, .backing_id = 0});
  return 0;
}

Outcome PassthroughHandler::releasedir(const Request&, const wire::ReleaseIn& in, Reply&) {
  open_files_.release(in.handle);
  return 0;
}

wire::EntryOut PassthroughHandler::entry_in_directory(const Lease& directory, uint64_t node, const char* name) {
  struct stat status;
  // An entry that has gone meanwhile is listed without attributes, as readdir(3) may list it.
  if (is_dot(name) || fstatat(directory->fd.get(), name, &status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) {
    return {};
  }
  return entry_of(nodes_->remember(directory, node, name, status), status);
}

Outcome PassthroughHandler::read_directory(const Request& request, const wire::ReadIn& in, bool plus, Reply& reply) {
  int error = 0;
  const Lease lease = directory(request.node, in.handle, &error);
  if (lease == nullptr) return error;
  // The front half of the memory takes the answer, the back half the raw entries.
  const size_t half = reply.space().size() / 2;
  const std::span<std::byte> out = reply.space().first(std::min<size_t>(in.size, half));
  const size_t raw_bytes = std::max(out.size() / (plus ? kPlusExpansion : kPlainExpansion), kRawEntryBytesMax);
  const std::span<std::byte> raw = reply.space().subspan(half, std::min(raw_bytes, half));
  const ssize_t count = read_raw(*lease, in.offset, raw);
  if (count < 0) return errno;

  const InodeKey key = this->key(request.node);
  size_t used = 0;
  for (size_t at = 0; at + kRawHeaderBytes < static_cast<size_t>(count);) {
    const auto* entry = reinterpret_cast<const RawEntry*>(raw.data() + at);
    at += entry->bytes;
    const size_t name_bytes = strlen(entry->name);
    const size_t header_bytes = (plus ? sizeof(wire::EntryOut) : 0) + sizeof(wire::DirectoryEntry);
    const size_t bytes = wire::record_align(header_bytes + name_bytes);
    if (used + bytes > out.size()) break;  // before it is looked up: nothing to take back
    std::byte* to = out.data() + used;
    if (plus) {
      const wire::EntryOut attributes = entry_in_directory(lease, request.node, entry->name);
      std::memcpy(to, &attributes, sizeof(attributes));
      to += sizeof(attributes);
    }
    const wire::DirectoryEntry header{.ino = visible_ino({key.device, entry->ino}),
                                      .offset = static_cast<uint64_t>(entry->offset),
                                      .name_bytes = static_cast<uint32_t>(name_bytes),
                                      .type = entry->type};
    std::memcpy(to, &header, sizeof(header));
    std::memcpy(to + sizeof(header), entry->name, name_bytes);
    std::memset(out.data() + used + header_bytes + name_bytes, 0, bytes - header_bytes - name_bytes);
    used += bytes;
  }
  reply.use_space(used);
  return 0;
}

Outcome PassthroughHandler::readdir(const Request& request, const wire::ReadIn& in, Reply& reply) {
  return read_directory(request, in, false, reply);
}

Outcome PassthroughHandler::readdirplus(const Request& request, const wire::ReadIn& in, Reply& reply) {
  return read_directory(request, in, true, reply);
}

Outcome PassthroughHandler::fsyncdir(const Request& request, const wire::FsyncIn& in, Reply&) {
  int error = 0;
  const Lease lease = directory(request.node, in.handle, &error);
  if (lease == nullptr) return error;
  const int fd = lease->fd.get();
  const int result = (in.flags & wire::kFsyncDataOnly) != 0 ? ::fdatasync(fd) : ::fsync(fd);
  return result == 0 ? 0 : errno;
}

}  // namespace covault
