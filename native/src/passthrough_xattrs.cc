// Extended attributes, access control lists (which are xattrs here), and the few ioctls that a file system has.
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "credentials.h"
#include "passthrough_handler.h"

namespace covault {

namespace {

constexpr size_t kXattrBytesMax = 65536;

// The xattr calls refuse O_PATH descriptors, but follow their entry in /proc to whatever they stand for, symbolic links
// and special files included.
class XattrTarget {
 public:
  explicit XattrTarget(const Lease& lease) : fd_(lease->fd.get()) {
    if (lease->access == Access::kPath) path_ = "/proc/self/fd/" + std::to_string(fd_);
  }
  ssize_t get(const char* name, void* value, size_t size) const {
    return path_.empty() ? fgetxattr(fd_, name, value, size) : getxattr(path_.c_str(), name, value, size);
  }
  ssize_t list(char* names, size_t size) const {
    return path_.empty() ? flistxattr(fd_, names, size) : listxattr(path_.c_str(), names, size);
  }
  int set(const char* name, Bytes value, int flags) const {
    return path_.empty() ? fsetxattr(fd_, name, value.data(), value.size(), flags)
                         : setxattr(path_.c_str(), name, value.data(), value.size(), flags);
  }
  int remove(const char* name) const {
    return path_.empty() ? fremovexattr(fd_, name) : removexattr(path_.c_str(), name);
  }

 private:
  int fd_;
  std::string path_;
};

// Setting or removing the access ACL changes the mode.
bool touches_mode(const char* name) { return strcmp(name, "system.posix_acl_access") == 0; }

// Takes out the names that file systems show to privileged callers alone; the engine sees them whoever asks. Returns
// the length of what is left.
size_t without_trusted(char* names, size_t length) {
  char* kept = names;
  for (const char* name = names; name < names + length;) {
    const size_t bytes = strnlen(name, static_cast<size_t>(names + length - name) - 1) + 1;
    if (strncmp(name, "trusted.", 8) != 0) {
      std::memmove(kept, name, bytes);
      kept += bytes;
    }
    name += bytes;
  }
  return static_cast<size_t>(kept - names);
}

// Answers a query of `size` bytes with what `call(buffer, size)` returns; size 0 asks for the length.
template <typename Call>
Outcome reply_value(const wire::GetxattrIn& in, Reply& reply, Call call) {
  if (in.size == 0) {
    const ssize_t length = call(nullptr, 0);
    if (length < 0) return errno;
    reply.put(wire::GetxattrOut{.size = static_cast<uint32_t>(length), .padding = 0});
    return 0;
  }
  const size_t room = std::min({size_t{in.size}, reply.space().size(), kXattrBytesMax});
  const ssize_t length = call(reply.space().data(), room);
  if (length < 0) return errno;
  reply.use_space(static_cast<size_t>(length));
  return 0;
}

}  // namespace

Outcome PassthroughHandler::getxattr(const Request& request, const wire::GetxattrIn& in, const char* name,
                                     Reply& reply) {
  int error = 0;
  const Lease lease = nodes_->path(request.node, &error);
  if (lease == nullptr) return error;
  const XattrTarget target(lease);
  return reply_value(in, reply, [&](void* value, size_t size) { return target.get(name, value, size); });
}

Outcome PassthroughHandler::listxattr(const Request& request, const wire::GetxattrIn& in, Reply& reply) {
  int error = 0;
  const Lease lease = nodes_->path(request.node, &error);
  if (lease == nullptr) return error;
  const XattrTarget target(lease);
  if (request.uid == 0) {
    return reply_value(in, reply, [&](void* names, size_t size) { return target.list(static_cast<char*>(names), size); });
  }
  return reply_value(in, reply, [&](void*, size_t size) -> ssize_t {
    const std::span<std::byte> space = reply.space();
    char* names = reinterpret_cast<char*>(space.data());
    const ssize_t all = target.list(names, std::min(space.size(), kXattrBytesMax));
    if (all < 0) return all;
    const size_t length = without_trusted(names, static_cast<size_t>(all));
    if (size == 0 || length <= size) return static_cast<ssize_t>(length);
    errno = ERANGE;
    return -1;
  });
}

Outcome PassthroughHandler::setxattr(const Request& request, const wire::SetxattrIn& in, const char* name, Bytes value,
                                     Reply&) {
  int error = 0;
  const Lease lease = nodes_->path(request.node, &error);
  if (lease == nullptr) return error;
  credentials::take(request.uid, request.gid);
  credentials::keep_setid_bits((in.setxattr_flags & wire::kSetxattrAclKillSgid) == 0);
  const XattrTarget target(lease);
  const Subject subject{key(request.node), lease->fd.get()};
  const auto pass = changes_.enter();
  if (changes_.xattrs(subject, [&] { return target.set(name, value, static_cast<int>(in.flags)); }) != 0) return errno;
  if (touches_mode(name)) changes_.mode_touched(subject.inode);
  return 0;
}

Outcome PassthroughHandler::removexattr(const Request& request, const char* name, Reply&) {
  int error = 0;
  const Lease lease = nodes_->path(request.node, &error);
  if (lease == nullptr) return error;
  const XattrTarget target(lease);
  const Subject subject{key(request.node), lease->fd.get()};
  const auto pass = changes_.enter();
  if (changes_.xattrs(subject, [&] { return target.remove(name); }) != 0) return errno;
  if (touches_mode(name)) changes_.mode_touched(subject.inode);
  return 0;
}

Outcome PassthroughHandler::ioctl(const Request& request, const wire::IoctlIn& in, Bytes input, Reply& reply) {
  bool sets = false;
  size_t bytes = 0;
  switch (in.command) {
    case FS_IOC_GETFLAGS:
      bytes = sizeof(unsigned);
      break;
    case FS_IOC_SETFLAGS:
      bytes = sizeof(unsigned);
      sets = true;
      break;
    case FS_IOC_GETVERSION:
      bytes = sizeof(long);
      break;
    case FS_IOC_FSGETXATTR:
      bytes = sizeof(struct fsxattr);
      break;
    case FS_IOC_FSSETXATTR:
      bytes = sizeof(struct fsxattr);
      sets = true;
      break;
    case FS_IOC_GETFSLABEL:
      bytes = FSLABEL_MAX;
      break;
    default:
      return ENOTTY;
  }
  if (sets ? input.size() < bytes : in.out_size < bytes) return EINVAL;
  const Inodes::Inode* inode = nodes_->inode(request.node);
  if (inode == nullptr) return ESTALE;
  // Flags belong to what can be opened; of the others only files and directories can be without side effects.
  if (inode->type() != S_IFREG && inode->type() != S_IFDIR) return ENOTTY;
  int error = 0;
  const Lease lease = inode->type() == S_IFDIR ? directory(request.node, in.handle, &error)
                                                      : file(request.node, in.handle, Access::kRead, &error);
  if (lease == nullptr) return error;
  static_assert(FSLABEL_MAX >= sizeof(struct fsxattr));
  const std::span<std::byte> buffer = reply.space().first(FSLABEL_MAX);
  std::memset(buffer.data(), 0, buffer.size());
  if (sets) std::memcpy(buffer.data(), input.data(), bytes);
  const auto act = [&] { return ::ioctl(lease->fd.get(), in.command, buffer.data()); };
  int result = 0;
  if (sets) {
    const auto pass = changes_.enter();
    result = changes_.attributes({key(request.node), lease->fd.get()}, act);
  } else {
    result = act();
  }
  if (result < 0) return errno;
  // The immutable and append-only attributes count when a file is opened, so it must not stay open.
  if (sets) nodes_->forget_data(request.node);
  if (sets && notifier_ != nullptr) notifier_->attributes_changed(request.node);  // the change time
  reply.put(wire::IoctlOut{.result = result, .flags = 0, .in_iovs = 0, .out_iovs = 0});
  if (!sets) reply.use_space(bytes);
  return 0;
}

}  // namespace covault
