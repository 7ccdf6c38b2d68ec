// Names: LOOKUP and everything that makes, moves or removes an entry of a directory.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "credentials.h"
#include "passthrough_handler.h"

namespace covault {

namespace {

// Names and targets point into the request, where a zero byte follows them.
const char* c_string(std::string_view text) { return text.data(); }

dev_t decode_device(uint32_t encoded) {
  return makedev((encoded & 0xfff00u) >> 8, (encoded & 0xffu) | ((encoded >> 12) & 0xfff00u));
}

int status_of(const Lease& parent, std::string_view name, struct stat* status) {
  return fstatat(parent->fd.get(), c_string(name), status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);
}

// For new inodes: owned by the caller, with its umask, and with the setgid bit as the kernel has decided it.
void create_as(const Request& request, uint32_t umask) {
  credentials::take(request.uid, request.gid);
  credentials::set_umask(umask);
  credentials::keep_setid_bits(true);
}

}  // namespace

Outcome PassthroughHandler::reply_entry(const Lease& parent, uint64_t parent_node, std::string_view name,
                                        Reply& reply) {
  struct stat status;
  if (status_of(parent, name, &status) != 0) return errno;
  reply.put(entry_of(nodes_->remember(parent, parent_node, c_string(name), status), status));
  return 0;
}

Outcome PassthroughHandler::lookup(const Request& request, std::string_view name, Reply& reply) {
  int error = 0;
  const Lease parent = nodes_->path(request.node, &error);
  if (parent == nullptr) return error;
  const Outcome outcome = reply_entry(parent, request.node, name, reply);
  if (outcome != ENOENT) return outcome;
  // Node 0: the name does not exist, and the kernel may remember that.
  wire::EntryOut absent = {};
  absent.entry_valid = seconds_valid(key(request.node));
  reply.put(absent);
  return 0;
}

Outcome PassthroughHandler::readlink(const Request& request, Reply& reply) {
  int error = 0;
  const Lease lease = nodes_->path(request.node, &error);
  if (lease == nullptr) return error;
  const auto space = reply.space();
  const ssize_t count = readlinkat(lease->fd.get(), "", reinterpret_cast<char*>(space.data()), wire::kPageBytes);
  if (count < 0) return errno == ENOENT ? EINVAL : errno;  // ENOENT: not a symbolic link
  reply.use_space(static_cast<size_t>(count));
  return 0;
}

Outcome PassthroughHandler::reply_created(const Lease& parent, uint64_t parent_node, std::string_view name,
                                          Reply& reply) {
  struct stat status;
  if (status_of(parent, name, &status) != 0) return errno;
  changes_.created(Nodes::key_of(status), key(parent_node), name);
  reply.put(entry_of(nodes_->remember(parent, parent_node, c_string(name), status), status));
  return 0;
}

Outcome PassthroughHandler::symlink(const Request& request, std::string_view name, std::string_view target,
                                    Reply& reply) {
  int error = 0;
  const Lease parent = nodes_->path(request.node, &error);
  if (parent == nullptr) return error;
  create_as(request, 0);
  const auto pass = changes_.enter();
  const Subject directory{key(request.node), parent->fd.get()};
  const auto act = [&] { return symlinkat(c_string(target), directory.fd, c_string(name)); };
  if (changes_.make(directory, name, act) < 0) return errno;
  return reply_created(parent, request.node, name, reply);
}

Outcome PassthroughHandler::mkdir(const Request& request, const wire::MkdirIn& in, std::string_view name,
                                  Reply& reply) {
  int error = 0;
  const Lease parent = nodes_->path(request.node, &error);
  if (parent == nullptr) return error;
  create_as(request, in.umask);
  const auto pass = changes_.enter();
  const Subject directory{key(request.node), parent->fd.get()};
  const auto act = [&] { return mkdirat(directory.fd, c_string(name), in.mode); };
  if (changes_.make(directory, name, act) < 0) return errno;
  return reply_created(parent, request.node, name, reply);
}

Outcome PassthroughHandler::mknod(const Request& request, const wire::MknodIn& in, std::string_view name,
                                  Reply& reply) {
  int error = 0;
  const Lease parent = nodes_->path(request.node, &error);
  if (parent == nullptr) return error;
  create_as(request, in.umask);
  const auto pass = changes_.enter();
  const Subject directory{key(request.node), parent->fd.get()};
  const auto act = [&] { return mknodat(directory.fd, c_string(name), in.mode, decode_device(in.rdev)); };
  if (changes_.make(directory, name, act) < 0) return errno;
  return reply_created(parent, request.node, name, reply);
}

Outcome PassthroughHandler::reply_created_open(FileDescriptor fd, const Lease& parent, const Request& request,
                                               std::string_view name, Reply& reply) {
  struct stat status;
  if (fstat(fd.get(), &status) != 0) return errno;
  uint64_t handle = 0;
  uint64_t node = 0;
  if (stateless_) {
    node = nodes_->remember_open(std::move(fd), request.node, name, status);
  } else if (!name.empty()) {
    node = nodes_->remember(parent, request.node, c_string(name), status);
    handle = open_files_.add(std::move(fd), Access::kReadWrite);
  } else {
    FileDescriptor copy(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy.is_open()) return errno;
    node = nodes_->remember_open(std::move(copy), request.node, name, status);
    handle = open_files_.add(std::move(fd), Access::kReadWrite);
  }
  if (name.empty()) nodes_->pin(node);
  changes_.created(Nodes::key_of(status), key(request.node), name);
  reply.put(entry_of(node, status));
  reply.put(wire::OpenOut{.handle = handle, .open_flags = wire::kOpenKeepCache, .backing_id = 0});
  return 0;
}

Outcome PassthroughHandler::create(const Request& request, const wire::CreateIn& in, std::string_view name,
                                   Reply& reply) {
  int error = 0;
  const Lease parent = nodes_->path(request.node, &error);
  if (parent == nullptr) return error;
  create_as(request, in.umask);
  const auto pass = changes_.enter();
  const Subject directory{key(request.node), parent->fd.get()};
  // The kernel sends CREATE for names that it knows to be absent. Should there be one (made beside the mount), it
  // learns of it from EEXIST.
  FileDescriptor fd(changes_.make(directory, name, [&] {
    return openat(directory.fd, c_string(name), O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, in.mode & 07777);
  }));
  if (!fd.is_open()) return errno;
  return reply_created_open(std::move(fd), parent, request, name, reply);
}

Outcome PassthroughHandler::tmpfile(const Request& request, const wire::CreateIn& in, Reply& reply) {
  int error = 0;
  const Lease parent = nodes_->path(request.node, &error);
  if (parent == nullptr) return error;
  create_as(request, in.umask);
  const auto pass = changes_.enter();
  const int exclusive = static_cast<int>(in.flags) & O_EXCL;  // may not be linked later
  FileDescriptor fd(openat(parent->fd.get(), ".", O_TMPFILE | exclusive | O_RDWR | O_CLOEXEC, in.mode & 07777));
  if (!fd.is_open()) return errno;
  return reply_created_open(std::move(fd), parent, request, {}, reply);
}

Outcome PassthroughHandler::link(const Request& request, uint64_t node, std::string_view name, Reply& reply) {
  int error = 0;
  const Lease parent = nodes_->path(request.node, &error);
  if (parent == nullptr) return error;
  const Lease source = nodes_->path(node, &error);
  if (source == nullptr) return error;
  const auto pass = changes_.enter();
  const Subject directory{key(request.node), parent->fd.get()};
  struct stat before;
  if (fstat(source->fd.get(), &before) != 0) return errno;
  const auto act = [&] {
    if (stateless_) return linkat(source->fd.get(), "", parent->fd.get(), c_string(name), AT_EMPTY_PATH);
    const std::string path = "/proc/self/fd/" + std::to_string(source->fd.get());
    return linkat(AT_FDCWD, path.c_str(), parent->fd.get(), c_string(name), AT_SYMLINK_FOLLOW);
  };
  if (before.st_nlink == 0) {
    // The first name of a file made with O_TMPFILE.
    if (changes_.make(directory, name, act) != 0) return errno;
    changes_.named(Nodes::key_of(before), key(request.node), name);
  } else if (changes_.link({Nodes::key_of(before), source->fd.get()}, directory, name, act) != 0) {
    return errno;
  }
  nodes_->named(before, request.node, name);
  return reply_entry(parent, request.node, name, reply);
}

Outcome PassthroughHandler::remove(const Request& request, std::string_view name, int flags) {
  int error = 0;
  const Lease parent = nodes_->path(request.node, &error);
  if (parent == nullptr) return error;
  struct stat status;
  if (status_of(parent, name, &status) != 0) return errno;
  error = nodes_->prepare_unlink(parent, request.node, c_string(name), status);
  if (error != 0) return error;
  const auto pass = changes_.enter();
  const int result = changes_.unlink(status, {key(request.node), parent->fd.get()}, name,
                                     [&] { return unlinkat(parent->fd.get(), c_string(name), flags); });
  if (result != 0) {
    error = errno;
    nodes_->not_unlinked(status);
    return error;
  }
  nodes_->unlinked(status, request.node, name);
  return 0;
}

Outcome PassthroughHandler::unlink(const Request& request, std::string_view name, Reply&) {
  return remove(request, name, 0);
}

Outcome PassthroughHandler::rmdir(const Request& request, std::string_view name, Reply&) {
  return remove(request, name, AT_REMOVEDIR);
}

Outcome PassthroughHandler::rename(const Request& request, std::string_view name, uint64_t new_parent,
                                   std::string_view new_name, uint32_t flags, Reply&) {
  int error = 0;
  const Lease from = nodes_->path(request.node, &error);
  if (from == nullptr) return error;
  const Lease to = nodes_->path(new_parent, &error);
  if (to == nullptr) return error;
  struct stat moved;
  struct stat replaced;
  if (status_of(from, name, &moved) != 0) return errno;
  const bool target = status_of(to, new_name, &replaced) == 0;
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  const bool replaces = target && !exchange && Nodes::key_of(moved) != Nodes::key_of(replaced);
  if (replaces) {
    error = nodes_->prepare_unlink(to, new_parent, c_string(new_name), replaced);
    if (error != 0) return error;
  }
  if ((flags & RENAME_WHITEOUT) != 0) create_as(request, 0);
  const auto pass = changes_.enter();
  const int result = changes_.rename(moved, {key(request.node), from->fd.get()}, name, {key(new_parent), to->fd.get()},
                                     new_name, replaces || (target && exchange) ? &replaced : nullptr, exchange, [&] {
                                       return static_cast<int>(syscall(SYS_renameat2, from->fd.get(), c_string(name),
                                                                       to->fd.get(), c_string(new_name), flags));
                                     });
  if (result != 0) {
    error = errno;
    if (replaces) nodes_->not_unlinked(replaced);
    return error;
  }
  if (replaces) nodes_->unlinked(replaced, new_parent, new_name);
  nodes_->named(moved, new_parent, new_name);
  if (target && exchange) nodes_->named(replaced, request.node, name);
  if ((flags & RENAME_WHITEOUT) != 0 && status_of(from, name, &replaced) == 0) {
    changes_.created(Nodes::key_of(replaced), key(request.node), name);
  }
  return 0;
}

}  // namespace covault
