// Attributes: GETATTR, STATX, SETATTR, STATFS, and how they are told to the kernel.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "credentials.h"
#include "passthrough_handler.h"

namespace covault {

namespace {

// Only this mount changes the data directory, so what the kernel knows stays true: ten years.
constexpr uint64_t kSecondsForever = 315360000;
// Other file systems mounted below the data directory are reachable beside the mount.
constexpr uint64_t kSecondsForeign = 1;

#ifndef SYS_fchmodat2
constexpr long kFchmodat2 = 452;  // the same on every architecture
#else
constexpr long kFchmodat2 = SYS_fchmodat2;
#endif

// Device numbers as the kernel sends them to user space: 12 bits major, 20 bits minor.
uint32_t encode_device(dev_t device) {
  return (minor(device) & 0xffu) | (major(device) << 8) | ((minor(device) & ~0xffu) << 12);
}

std::string through_proc(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

int change_mode(const Lease& lease, mode_t mode) {
  const int fd = lease->fd.get();
  if (lease->access != Access::kPath) return fchmod(fd, mode);
  const long result = syscall(kFchmodat2, fd, "", mode, AT_EMPTY_PATH);
  if (result == 0 || errno != ENOSYS) return static_cast<int>(result);
  return chmod(through_proc(fd).c_str(), mode);
}

int change_times(const Lease& lease, const timespec* times) {
  const int fd = lease->fd.get();
  if (lease->access != Access::kPath) return futimens(fd, times);
  if (utimensat(fd, "", times, AT_EMPTY_PATH) == 0) return 0;
  if (errno != EINVAL) return -1;
  return utimensat(AT_FDCWD, through_proc(fd).c_str(), times, 0);
}

}  // namespace

uint64_t PassthroughHandler::visible_ino(const InodeKey& key) const {
  if (key.device == nodes_->root_device()) return key.ino;
  // All inodes of the mount share one device number, so those of other devices get high bits of their own.
  return key.ino ^ ((key.device * 0x9e3779b97f4a7c15ull) | (1ull << 63));
}

uint64_t PassthroughHandler::seconds_valid(const InodeKey& key) const {
  return key.device == nodes_->root_device() ? kSecondsForever : kSecondsForeign;
}

wire::Attributes PassthroughHandler::attributes_of(const struct stat& status) const {
  return {.ino = visible_ino(Nodes::key_of(status)),
          .size = static_cast<uint64_t>(status.st_size),
          .blocks = static_cast<uint64_t>(status.st_blocks),
          .atime = static_cast<uint64_t>(status.st_atim.tv_sec),
          .mtime = static_cast<uint64_t>(status.st_mtim.tv_sec),
          .ctime = static_cast<uint64_t>(status.st_ctim.tv_sec),
          .atime_ns = static_cast<uint32_t>(status.st_atim.tv_nsec),
          .mtime_ns = static_cast<uint32_t>(status.st_mtim.tv_nsec),
          .ctime_ns = static_cast<uint32_t>(status.st_ctim.tv_nsec),
          .mode = status.st_mode,
          .nlink = static_cast<uint32_t>(status.st_nlink),
          .uid = status.st_uid,
          .gid = status.st_gid,
          .rdev = encode_device(status.st_rdev),
          .block_bytes = static_cast<uint32_t>(status.st_blksize),
          .flags = 0};
}

wire::EntryOut PassthroughHandler::entry_of(uint64_t node, const struct stat& status) const {
  const uint64_t valid = seconds_valid(Nodes::key_of(status));
  return {.node = node,
          .generation = 0,  // node ids are never used again
          .entry_valid = valid,
          .attributes_valid = valid,
          .entry_valid_ns = 0,
          .attributes_valid_ns = 0,
          .attributes = attributes_of(status)};
}

Outcome PassthroughHandler::reply_attributes(const Lease& lease, Reply& reply) const {
  struct stat status;
  if (fstat(lease->fd.get(), &status) != 0) return errno;
  reply.put(wire::AttributesOut{
      .valid = seconds_valid(Nodes::key_of(status)), .valid_ns = 0, .padding = 0, .attributes = attributes_of(status)});
  return 0;
}

Outcome PassthroughHandler::getattr(const Request& request, const wire::GetattrIn& in, Reply& reply) {
  int error = 0;
  const Lease lease = any(request.node, (in.flags & wire::kGetattrHandle) != 0, in.handle, &error);
  return lease == nullptr ? error : reply_attributes(lease, reply);
}

Outcome PassthroughHandler::statx(const Request& request, const wire::StatxIn& in, Reply& reply) {
  int error = 0;
  const Lease lease = any(request.node, (in.getattr_flags & wire::kGetattrHandle) != 0, in.handle, &error);
  if (lease == nullptr) return error;
  // The reply's structure has the layout of the system call's.
  static_assert(sizeof(struct ::statx) == sizeof(wire::Statx));
  struct ::statx status;
  const int flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | (static_cast<int>(in.flags) & AT_STATX_SYNC_TYPE);
  if (::statx(lease->fd.get(), "", flags, in.mask | STATX_BASIC_STATS, &status) != 0) return errno;
  wire::StatxOut out = {};
  std::memcpy(&out.stat, &status, sizeof(status));
  const InodeKey key{makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino};
  out.stat.ino = visible_ino(key);
  out.valid = seconds_valid(key);
  reply.put(out);
  return 0;
}

int PassthroughHandler::set_owner_and_mode(const Request& request, const wire::SetattrIn& in, const Subject& subject,
                                           const Lease& lease) {
  constexpr uint32_t kOwner = wire::kSetUid | wire::kSetGid;
  constexpr uint32_t kAnything = wire::kSetMode | kOwner | wire::kSetSize | wire::kSetAtime | wire::kSetMtime;
  if ((in.valid & wire::kSetMode) != 0) {
    credentials::keep_setid_bits(true);  // the kernel has decided which bits the caller may set
    const int result = changes_.attributes(subject, [&] { return change_mode(lease, in.mode & 07777); });
    if (result != 0) return errno;
  }
  // A request without anything to set comes from chown(2) of neither user nor group, or because content is about to
  // change: it clears bits, and counts as a change. Which bits depends on the caller's group, too.
  if ((in.valid & kOwner) != 0 || (in.valid & kAnything) == 0) {
    credentials::take(request.uid, request.gid);
    credentials::keep_setid_bits(request.uid == 0);
    const uid_t uid = (in.valid & wire::kSetUid) != 0 ? in.uid : static_cast<uid_t>(-1);
    const gid_t gid = (in.valid & wire::kSetGid) != 0 ? in.gid : static_cast<gid_t>(-1);
    const int result =
        changes_.attributes(subject, [&] { return fchownat(lease->fd.get(), "", uid, gid, AT_EMPTY_PATH); });
    if (result != 0) return errno;
  }
  return 0;
}

int PassthroughHandler::set_size(const Request& request, const wire::SetattrIn& in, const Subject& subject,
                                 const Lease& lease) {
  credentials::take(request.uid, request.gid);
  credentials::keep_setid_bits((in.valid & wire::kSetKillSuidgid) == 0);
  const auto size = static_cast<off_t>(in.size);
  if (size < 0) return EINVAL;
  // ftruncate(2) and O_TRUNC always set the times, truncate(2) only if the size changes.
  const bool by_handle = (in.valid & wire::kSetHandle) != 0;
  int result = 0;
  if (lease->access == Access::kReadWrite) {
    result =
        by_handle || size == 0
            ? changes_.size(subject, in.size, [&] { return ftruncate(lease->fd.get(), size); })
            : changes_.size(subject, in.size, [&] { return truncate(through_proc(lease->fd.get()).c_str(), size); });
  } else if (by_handle || size == 0) {
    int error = 0;
    const Lease writable = file(request.node, 0, Access::kReadWrite, &error);
    if (writable != nullptr) {
      result = changes_.size(subject, in.size, [&] { return ftruncate(writable->fd.get(), size); });
    } else {
      // An ordinary user's file may be one to write that cannot be read.
      const FileDescriptor fd(::open(through_proc(lease->fd.get()).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
      if (!fd.is_open()) return errno;
      result = changes_.size(subject, in.size, [&] { return ftruncate(fd.get(), size); });
    }
  } else {
    result = changes_.size(subject, in.size, [&] { return truncate(through_proc(lease->fd.get()).c_str(), size); });
  }
  if (result != 0) return errno;
  if ((in.valid & wire::kSetKillSuidgid) != 0) changes_.mode_touched(subject.inode);
  return 0;
}

int PassthroughHandler::set_times(uint64_t node, const wire::SetattrIn& in, const Subject& subject,
                                  const Lease& lease) {
  const auto time = [&in](uint32_t set, uint32_t now, uint64_t seconds, uint32_t ns) {
    timespec result{.tv_sec = 0, .tv_nsec = UTIME_OMIT};
    if ((in.valid & now) != 0) {
      result.tv_nsec = UTIME_NOW;
    } else if ((in.valid & set) != 0) {
      result = {.tv_sec = static_cast<time_t>(seconds), .tv_nsec = static_cast<long>(ns)};
    }
    return result;
  };
  const timespec times[2] = {time(wire::kSetAtime, wire::kSetAtimeNow, in.atime, in.atime_ns),
                             time(wire::kSetMtime, wire::kSetMtimeNow, in.mtime, in.mtime_ns)};
  // Before it is set: a write handled meanwhile then either comes first or puts it back.
  const bool kernel_owns = connection_.data_mode == DataMode::kWriteback && (in.valid & wire::kSetMtime) != 0;
  if (kernel_owns && times[1].tv_nsec != UTIME_NOW) kept_times_.tell(node, times[1]);
  return changes_.attributes(subject, [&] { return change_times(lease, times); }) == 0 ? 0 : errno;
}

void PassthroughHandler::note_time(uint64_t node, const Lease& lease) {
  if (kept_times_.of(node).has_value()) return;
  struct stat status;
  if (fstat(lease->fd.get(), &status) == 0) kept_times_.found(node, status.st_mtim);
}

void PassthroughHandler::restore_time(uint64_t node, const Lease& lease) const {
  const auto equal = [](const timespec& a, const timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
  };
  std::optional<timespec> kept = kept_times_.of(node);
  while (kept.has_value()) {
    const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, *kept};
    if (change_times(lease, times) != 0) return;
    // Another time may have been told, and set, in between.
    const std::optional<timespec> now = kept_times_.of(node);
    if (!now.has_value() || equal(*now, *kept)) return;
    kept = now;
  }
}

Outcome PassthroughHandler::setattr(const Request& request, const wire::SetattrIn& in, Reply& reply) {
  int error = 0;
  const Lease lease = any(request.node, (in.valid & wire::kSetHandle) != 0, in.handle, &error);
  if (lease == nullptr) return error;
  const Subject subject{key(request.node), lease->fd.get()};
  const auto pass = changes_.enter();
  error = set_owner_and_mode(request, in, subject, lease);
  if (error == 0 && (in.valid & wire::kSetSize) != 0) {
    const auto resize = [&] {
      error = set_size(request, in, subject, lease);
      return error == 0 ? 0 : -1;
    };
    if ((in.valid & wire::kSetMtime) != 0) {
      resize();
    } else {
      keeping_time(request.node, lease, resize);
    }
  }
  if (error == 0 && (in.valid & (wire::kSetAtime | wire::kSetMtime)) != 0) {
    error = set_times(request.node, in, subject, lease);
  }
  return error != 0 ? error : reply_attributes(lease, reply);
}

Outcome PassthroughHandler::statfs(const Request& request, Reply& reply) {
  int error = 0;
  const Lease lease = nodes_->path(request.node, &error);
  if (lease == nullptr) return error;
  struct ::statfs status;
  if (fstatfs(lease->fd.get(), &status) != 0) return errno;
  wire::StatfsOut out = {};
  out.blocks = status.f_blocks;
  out.blocks_free = status.f_bfree;
  out.blocks_available = status.f_bavail;
  out.files = status.f_files;
  out.files_free = status.f_ffree;
  out.block_bytes = static_cast<uint32_t>(status.f_bsize);
  out.name_bytes_max = static_cast<uint32_t>(status.f_namelen);
  out.fragment_bytes = static_cast<uint32_t>(status.f_frsize);
  reply.put(out);
  return 0;
}

}  // namespace covault
