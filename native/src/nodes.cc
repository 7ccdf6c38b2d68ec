#include "nodes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace covault {

namespace {

// Directories between the data directory and an inode that is opened by name; deeper ones cannot have been looked up
// within the lifetime of a mount by anything sensible, and a loop in the table must not be walked for ever.
constexpr int kDepthMax = 8192;

bool out_of_descriptors(int error) { return error == EMFILE || error == ENFILE; }

std::string through_proc(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

}  // namespace

std::unique_ptr<Nodes> Nodes::open(int directory_fd, const Options& options, std::string* error) {
  FileDescriptor root(openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat status;
  if (!root.is_open() || fstat(root.get(), &status) != 0) {
    *error = std::string("the data directory cannot be opened: ") + strerror(errno);
    return nullptr;
  }
  Identity identity{.key = key_of(status), .type = S_IFDIR, .handle = {}};
  bool handles = false;
  if (options.handles) {
    const FileHandle handle = FileHandle::of(root.get(), "");
    const FileDescriptor again(handle.is_known() ? handle.open(root.get(), O_PATH | O_CLOEXEC) : -1);
    struct stat found;
    handles = again.is_open() && fstat(again.get(), &found) == 0 && found.st_ino == status.st_ino;
  }
  return std::unique_ptr<Nodes>(new Nodes(std::move(root), identity, options, handles));
}

Nodes::Nodes(FileDescriptor root, const Identity& root_identity, const Options& options, bool handles)
    : root_(std::move(root)),
      root_device_(root_identity.key.device),
      handles_(handles),
      paths_(options.descriptors_max / 2),
      files_(options.descriptors_max / 2),
      inodes_(root_identity, [this](uint64_t node) {
        paths_.drop(node);
        files_.drop(node);
      }) {
  // The root has no name and is asked for all the time.
  paths_.insert(wire::kRootNode, FileDescriptor(openat(root_.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC)),
                Access::kPath);
  paths_.pin(wire::kRootNode);
}

FileHandle Nodes::handle_of(int fd, const char* name, uint64_t device) const {
  // Handles are opened through the data directory's own mount, so they are used for its own device only.
  if (!handles_ || device != root_device_) return {};
  return FileHandle::of(fd, name);
}

Identity Nodes::identity_of(int fd, const char* name, const struct stat& status) const {
  return {.key = key_of(status), .type = status.st_mode & S_IFMT, .handle = handle_of(fd, name, status.st_dev)};
}

bool Nodes::verify(int fd, const Identity& identity) const {
  struct stat status;
  return fstat(fd, &status) == 0 && key_of(status) == identity.key && (status.st_mode & S_IFMT) == identity.type;
}

int Nodes::open_by_handle(const Identity& identity, int flags) {
  FileDescriptor fd(identity.handle.open(root_.get(), flags));
  if (!fd.is_open()) return -errno;
  // Number and handle were read one after the other; somebody beside the mount may have moved a file in between.
  if (!verify(fd.get(), identity)) return -ESTALE;
  return fd.release();
}

// Walks down from the nearest ancestor that is open or has a handle.
int Nodes::open_by_name(uint64_t node, const Identity& identity) {
  std::vector<InodeName> steps;
  Lease start;
  uint64_t at = node;
  while (start == nullptr) {
    InodeName step;
    if (steps.size() > kDepthMax || !inodes_.name_of(at, &step)) return -ESTALE;
    at = step.parent;
    steps.push_back(std::move(step));
    start = paths_.find(at);
    if (start == nullptr) start = files_.find(at);
    if (start != nullptr) break;
    const Inodes::Inode* ancestor = inodes_.find(at);
    if (ancestor == nullptr) return -ESTALE;
    if (ancestor->has_handle()) {
      int error = 0;
      start = path(at, &error);
      if (start == nullptr) return -error;
    }
  }
  FileDescriptor current;
  for (size_t i = steps.size(); i-- > 0;) {
    const int from = current.is_open() ? current.get() : start->fd.get();
    FileDescriptor next(openat(from, steps[i].name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!next.is_open()) return errno == ENOENT || errno == ENOTDIR ? -ESTALE : -errno;
    current = std::move(next);
  }
  return verify(current.get(), identity) ? current.release() : -ESTALE;
}

int Nodes::open_node(uint64_t node, int flags) {
  const Inodes::Inode* inode = inodes_.find(node);
  if (inode == nullptr) return -ESTALE;
  reopened_.fetch_add(1, std::memory_order_relaxed);
  if (inode->has_handle()) {
    const int fd = open_by_handle(inode->identity(), flags);
    if (fd != -ESTALE) return fd;
  }
  // Without a handle, or without a name: what is held already can always be opened again.
  Lease held = paths_.find(node);
  if (held == nullptr) held = files_.find(node);
  FileDescriptor found;
  if (held == nullptr) {
    if (inode->has_handle()) return -ESTALE;
    const int fd = open_by_name(node, inode->identity());
    if (fd < 0 || (flags & O_PATH) != 0) return fd;
    found = FileDescriptor(fd);
  }
  const int source = held != nullptr ? held->fd.get() : found.get();
  const int fd = ::open(through_proc(source).c_str(), flags & ~O_NOFOLLOW);
  return fd >= 0 ? fd : -errno;
}

int Nodes::open_retrying(uint64_t node, int flags) {
  const int fd = open_node(node, flags);
  if (fd >= 0 || !out_of_descriptors(-fd)) return fd;
  paths_.shrink();
  files_.shrink();
  return open_node(node, flags);
}

Lease Nodes::path(uint64_t node, int* error) {
  if (Lease lease = paths_.find(node)) return lease;
  if (Lease lease = files_.find(node)) return lease;
  const int fd = open_retrying(node, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    *error = -fd;
    return nullptr;
  }
  return paths_.insert(node, FileDescriptor(fd), Access::kPath);
}

Lease Nodes::data(uint64_t node, Access access, int* error) {
  if (Lease lease = files_.find(node); lease != nullptr && lease->access >= access) return lease;
  const Inodes::Inode* inode = inodes_.find(node);
  if (inode == nullptr || inode->type() != S_IFREG) {
    *error = inode == nullptr ? ESTALE : inode->type() == S_IFDIR ? EISDIR : EINVAL;
    return nullptr;
  }
  constexpr int kFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_LARGEFILE;
  // Only what is written is opened for writing: an executable that is merely read through the mount must stay
  // executable beside it.
  const int mode = access == Access::kReadWrite ? O_RDWR : O_RDONLY;
  int fd = open_retrying(node, mode | kFlags);
  // A file with the append-only attribute can be opened for appending alone.
  const bool append_only = fd == -EPERM && access == Access::kReadWrite;
  if (append_only) fd = open_retrying(node, mode | O_APPEND | kFlags);
  if (fd < 0) {
    *error = -fd;
    return nullptr;
  }
  Lease lease = std::make_shared<OpenDescriptor>(FileDescriptor(fd), access);
  lease->append_only = append_only;
  return files_.insert(node, std::move(lease));
}

Lease Nodes::directory(uint64_t node, int* error) {
  if (Lease lease = files_.find(node)) return lease;
  const int fd = open_retrying(node, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    *error = -fd;
    return nullptr;
  }
  return files_.insert(node, FileDescriptor(fd), Access::kRead);
}

uint64_t Nodes::remember(const Lease& parent, uint64_t parent_node, const char* name, const struct stat& status) {
  const Identity identity = identity_of(parent->fd.get(), name, status);
  const uint64_t node = inodes_.remember(identity, parent_node, name);
  if (!identity.handle.is_known()) unpin(node);
  return node;
}

uint64_t Nodes::remember_open(FileDescriptor fd, uint64_t parent_node, std::string_view name,
                              const struct stat& status) {
  const uint64_t node = inodes_.remember(identity_of(fd.get(), "", status), name.empty() ? 0 : parent_node, name);
  files_.insert(node, std::move(fd), Access::kReadWrite);
  return node;
}

void Nodes::pin(uint64_t node) {
  if (!files_.pin(node)) paths_.pin(node);
}

void Nodes::unpin(uint64_t node) {
  if (node == wire::kRootNode) return;
  files_.unpin(node);
  paths_.unpin(node);
}

int Nodes::prepare_unlink(const Lease& parent, uint64_t parent_node, const char* name, const struct stat& status) {
  const uint64_t node = inodes_.find(key_of(status));
  const Inodes::Inode* inode = inodes_.find(node);
  if (inode == nullptr) return 0;
  const bool last = S_ISDIR(status.st_mode) || status.st_nlink <= 1;
  const bool found_by_it = !inode->has_handle() && inodes_.is_named(node, parent_node, name);
  if (!last && !found_by_it) return 0;
  if (files_.pin(node) || paths_.pin(node)) return 0;
  int fd = openat(parent->fd.get(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && out_of_descriptors(errno)) {
    paths_.shrink();
    files_.shrink();
    fd = openat(parent->fd.get(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  }
  if (fd < 0) return errno;
  paths_.insert(node, FileDescriptor(fd), Access::kPath);
  paths_.pin(node);
  return 0;
}

void Nodes::unlinked(const struct stat& status, uint64_t parent_node, std::string_view name) {
  const uint64_t node = inodes_.find(key_of(status));
  if (inodes_.is_named(node, parent_node, name)) inodes_.drop_name(node);
}

void Nodes::not_unlinked(const struct stat& status) {
  const uint64_t node = inodes_.find(key_of(status));
  const Inodes::Inode* inode = inodes_.find(node);
  if (inode == nullptr) return;
  InodeName name;
  if (inode->has_handle() ? status.st_nlink > 0 : inodes_.name_of(node, &name)) unpin(node);
}

void Nodes::named(const struct stat& status, uint64_t parent, std::string_view name) {
  const uint64_t node = inodes_.find(key_of(status));
  const Inodes::Inode* inode = inodes_.find(node);
  if (inode == nullptr) return;
  if (!inode->has_handle()) inodes_.set_name(node, parent, name);
  unpin(node);
}

}  // namespace covault
