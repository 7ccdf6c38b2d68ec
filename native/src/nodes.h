// From a node id to a descriptor to work with: the inode table, the caches of descriptors, and how an inode is opened
// again after its descriptor was evicted.
//
// Two kinds of descriptors are cached: O_PATH descriptors (of anything; used for names and attributes) and data
// descriptors (of files, and of directories that are read). An inode is opened again
//   by its file handle, if the process may (CAP_DAC_READ_SEARCH) and the file system has them;
//   else by walking to its parent and name, and comparing device and inode number;
//   else not at all: then its descriptor is pinned (`pin`) before it loses its last name.
#ifndef COVAULT_NODES_H_
#define COVAULT_NODES_H_

#include <sys/stat.h>

#include <memory>
#include <string>
#include <string_view>

#include "descriptors.h"
#include "inodes.h"

namespace covault {

class Nodes {
 public:
  struct Options {
    size_t descriptors_max = 0;  // of both caches together
    bool handles = true;         // use file handles if they work
  };
  // `directory_fd` is not taken over. Null and `error` set if it cannot be served.
  static std::unique_ptr<Nodes> open(int directory_fd, const Options& options, std::string* error);

  // A descriptor for *at() calls, fstat and the like; any access. Null: `*error` is an errno.
  Lease path(uint64_t node, int* error);
  // A descriptor for the contents of a regular file with at least the access.
  Lease data(uint64_t node, Access access, int* error);
  // A descriptor from which the entries of a directory can be read.
  Lease directory(uint64_t node, int* error);

  // The next use of the file's contents opens it again: what may be done with it has changed.
  void forget_data(uint64_t node) { files_.drop_unpinned(node); }

  // Counts a lookup of what `name` in `parent` is, whose attributes are `status`. Returns the node id.
  uint64_t remember(const Lease& parent, uint64_t parent_node, const char* name, const struct stat& status);
  // The same for an open descriptor (a new file; `name` is empty for O_TMPFILE), which becomes the node's data
  // descriptor.
  uint64_t remember_open(FileDescriptor fd, uint64_t parent_node, std::string_view name, const struct stat& status);
  void forget(uint64_t node, uint64_t lookups) { inodes_.forget(node, lookups); }

  // `name` in `parent` (which has the attributes `status`) is about to go away. If the inode could not be opened again
  // afterwards, its descriptor is pinned. Returns an errno. Then either `unlinked` or `not_unlinked`.
  int prepare_unlink(const Lease& parent, uint64_t parent_node, const char* name, const struct stat& status);
  void unlinked(const struct stat& status, uint64_t parent_node, std::string_view name);
  void not_unlinked(const struct stat& status);
  // The inode now has this name (link, rename).
  void named(const struct stat& status, uint64_t parent, std::string_view name);

  // Holds the descriptor of an inode without a name (O_TMPFILE).
  void pin(uint64_t node);

  const Inodes::Inode* inode(uint64_t node) const { return inodes_.find(node); }
  uint64_t node_of(const struct stat& status) const { return inodes_.find(key_of(status)); }
  uint64_t root_device() const { return root_device_; }
  int root_fd() const { return root_.get(); }
  bool uses_handles() const { return handles_; }

  std::vector<uint64_t> files_known() const { return inodes_.all_of_type(S_IFREG); }
  uint64_t inodes() const { return inodes_.size(); }
  const Descriptors& paths() const { return paths_; }
  const Descriptors& files() const { return files_; }
  uint64_t reopened() const { return reopened_.load(std::memory_order_relaxed); }

  static InodeKey key_of(const struct stat& status) { return {status.st_dev, status.st_ino}; }

 private:
  Nodes(FileDescriptor root, const Identity& root_identity, const Options& options, bool handles);

  // Opens an inode anew. Returns a descriptor or -errno.
  int open_node(uint64_t node, int flags);
  // The same, after closing cached descriptors if the process has none left.
  int open_retrying(uint64_t node, int flags);
  int open_by_handle(const Identity& identity, int flags);
  int open_by_name(uint64_t node, const Identity& identity);
  bool verify(int fd, const Identity& identity) const;
  FileHandle handle_of(int fd, const char* name, uint64_t device) const;
  Identity identity_of(int fd, const char* name, const struct stat& status) const;
  void unpin(uint64_t node);

  const FileDescriptor root_;  // O_RDONLY
  const uint64_t root_device_;
  const bool handles_;
  Descriptors paths_;
  Descriptors files_;
  std::atomic<uint64_t> reopened_ = 0;
  Inodes inodes_;  // last: its callback uses the caches
};

}  // namespace covault

#endif  // COVAULT_NODES_H_
