#include "passthrough.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "credentials.h"
#include "passthrough_handler.h"

namespace covault {

namespace {

// Of the limit of the process, what the caches may take. The rest is for open files, pinned inodes, and everything
// else that the process does.
constexpr uint32_t kCacheShare = 2;
constexpr uint32_t kDescriptorsMax = 32768;

uint32_t descriptor_budget() {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 512;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  return static_cast<uint32_t>(std::min<uint64_t>(limit.rlim_cur / kCacheShare, kDescriptorsMax));
}

// Of the limit of the process, what open epochs may keep of inodes that are not where they were.
constexpr uint32_t kEpochShare = 8;

std::shared_ptr<Epochs> make_epochs(EpochOptions options, const Nodes& nodes) {
  if (options.kept_max == 0) options.kept_max = descriptor_budget() * kCacheShare / kEpochShare;
  return Epochs::make(nodes.root_fd(), nodes.root_device(), nodes.uses_handles(), std::move(options));
}

}  // namespace

std::shared_ptr<Handler> make_passthrough(const PassthroughOptions& options, std::string* error) {
  const bool privileged = !options.unprivileged && credentials::process_is_privileged();
  const Nodes::Options node_options{
      .descriptors_max = options.descriptors_max != 0 ? options.descriptors_max : descriptor_budget(),
      .handles = privileged,
  };
  std::unique_ptr<Nodes> nodes = Nodes::open(options.directory_fd, node_options, error);
  if (nodes == nullptr) return nullptr;
  return std::make_shared<PassthroughHandler>(options, privileged, std::move(nodes));
}

PassthroughStatistics passthrough_statistics(const Handler& handler) {
  return static_cast<const PassthroughHandler&>(handler).statistics();
}

std::shared_ptr<Epochs> passthrough_epochs(const Handler& handler) {
  return static_cast<const PassthroughHandler&>(handler).epochs();
}

PassthroughHandler::PassthroughHandler(const PassthroughOptions& options, bool privileged, std::unique_ptr<Nodes> nodes)
    : options_(options),
      stateless_(privileged),
      nodes_(std::move(nodes)),
      epochs_(make_epochs(options.epochs, *nodes_)),
      changes_(options.mutations, epochs_, nodes_->root_device()) {}

Wishes PassthroughHandler::wishes() const {
  Wishes wishes;
  wishes.data_mode = options_.data_mode;
  wishes.zero_message_open = stateless_;
  // Closing a file has no effect below that anybody waits for: content was written before, and locks are the kernel's.
  wishes.zero_message_flush = true;
  wishes.posix_acl = true;
  wishes.kill_privileges = true;
  return wishes;
}

void PassthroughHandler::thread_starts() { credentials::enter_thread(stateless_); }

PassthroughStatistics PassthroughHandler::statistics() const {
  PassthroughStatistics result;
  result.inodes = nodes_->inodes();
  result.path_descriptors = nodes_->paths().size();
  result.data_descriptors = nodes_->files().size();
  result.pinned = nodes_->paths().pinned() + nodes_->files().pinned();
  result.open_handles = open_files_.size();
  result.reopened = nodes_->reopened();
  result.privileged = stateless_;
  return result;
}

Lease PassthroughHandler::file(uint64_t node, uint64_t handle, Access access, int* error) {
  if (handle == 0) return nodes_->data(node, access, error);
  Lease lease = open_files_.find(handle);
  if (lease == nullptr) *error = EBADF;
  return lease;
}

Lease PassthroughHandler::directory(uint64_t node, uint64_t handle, int* error) {
  if (handle == 0) return nodes_->directory(node, error);
  Lease lease = open_files_.find(handle);
  if (lease == nullptr) *error = EBADF;
  return lease;
}

Lease PassthroughHandler::any(uint64_t node, bool has_handle, uint64_t handle, int* error) {
  if (has_handle && handle != 0) {
    if (Lease lease = open_files_.find(handle)) return lease;
  }
  return nodes_->path(node, error);
}

InodeKey PassthroughHandler::key(uint64_t node) const {
  const Inodes::Inode* inode = nodes_->inode(node);
  return inode == nullptr ? InodeKey{} : inode->key();
}

}  // namespace covault
