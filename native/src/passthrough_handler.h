// The handler that serves a data directory. Its functions stand in passthrough_names.cc, passthrough_attributes.cc,
// passthrough_directories.cc, passthrough_data.cc and passthrough_xattrs.cc.
//
// Two ways of opening files:
//   stateless     (privileged process) OPEN is never sent; every request names its inode and works on a descriptor from
//                 the cache, which can be opened again at any time whatever the file's mode. Handles are 0.
//   with handles  (ordinary user) OPEN is answered with a descriptor of its own, opened with the rights of that moment.
//
// Locks are those of the parts (Nodes, Descriptors, OpenFiles, MutationLog), each a leaf here: no function holds one
// while it calls another part. Requests on one directory or file that must not meet are kept apart by the kernel.
#ifndef COVAULT_PASSTHROUGH_HANDLER_H_
#define COVAULT_PASSTHROUGH_HANDLER_H_

#include <sys/stat.h>

#include "changes.h"
#include "kept_times.h"
#include "nodes.h"
#include "open_files.h"
#include "passthrough.h"

namespace covault {

class PassthroughHandler final : public Handler {
 public:
  PassthroughHandler(const PassthroughOptions& options, bool privileged, std::unique_ptr<Nodes> nodes);

  Wishes wishes() const override;
  void connected(const Connection& connection, Notifier& notifier) override {
    connection_ = connection;
    notifier_ = &notifier;
  }
  std::vector<uint64_t> known_files() const override { return nodes_->files_known(); }
  void thread_starts() override;

  Outcome lookup(const Request&, std::string_view name, Reply&) override;
  void forget(uint64_t node, uint64_t lookups) override { nodes_->forget(node, lookups); }
  Outcome readlink(const Request&, Reply&) override;
  Outcome symlink(const Request&, std::string_view name, std::string_view target, Reply&) override;
  Outcome mknod(const Request&, const wire::MknodIn&, std::string_view, Reply&) override;
  Outcome mkdir(const Request&, const wire::MkdirIn&, std::string_view, Reply&) override;
  Outcome unlink(const Request&, std::string_view, Reply&) override;
  Outcome rmdir(const Request&, std::string_view, Reply&) override;
  Outcome rename(const Request&, std::string_view name, uint64_t new_parent, std::string_view new_name, uint32_t flags,
                 Reply&) override;
  Outcome link(const Request&, uint64_t node, std::string_view, Reply&) override;
  Outcome create(const Request&, const wire::CreateIn&, std::string_view, Reply&) override;
  Outcome tmpfile(const Request&, const wire::CreateIn&, Reply&) override;

  Outcome getattr(const Request&, const wire::GetattrIn&, Reply&) override;
  Outcome statx(const Request&, const wire::StatxIn&, Reply&) override;
  Outcome setattr(const Request&, const wire::SetattrIn&, Reply&) override;
  Outcome statfs(const Request&, Reply&) override;
  Outcome setxattr(const Request&, const wire::SetxattrIn&, const char* name, Bytes value, Reply&) override;
  Outcome getxattr(const Request&, const wire::GetxattrIn&, const char* name, Reply&) override;
  Outcome listxattr(const Request&, const wire::GetxattrIn&, Reply&) override;
  Outcome removexattr(const Request&, const char* name, Reply&) override;
  Outcome ioctl(const Request&, const wire::IoctlIn&, Bytes, Reply&) override;

  Outcome opendir(const Request&, const wire::OpenIn&, Reply&) override;
  Outcome readdir(const Request&, const wire::ReadIn&, Reply&) override;
  Outcome readdirplus(const Request&, const wire::ReadIn&, Reply&) override;
  Outcome releasedir(const Request&, const wire::ReleaseIn&, Reply&) override;
  Outcome fsyncdir(const Request&, const wire::FsyncIn&, Reply&) override;

  Outcome open(const Request&, const wire::OpenIn&, Reply&) override;
  Outcome read(const Request&, const wire::ReadIn&, Reply&) override;
  Outcome write(const Request&, const wire::WriteIn&, Bytes, Reply&) override;
  Outcome release(const Request&, const wire::ReleaseIn&, Reply&) override;
  Outcome fsync(const Request&, const wire::FsyncIn&, Reply&) override;
  Outcome syncfs(const Request&, Reply&) override;
  Outcome fallocate(const Request&, const wire::FallocateIn&, Reply&) override;
  Outcome lseek(const Request&, const wire::LseekIn&, Reply&) override;
  Outcome copy_file_range(const Request&, const wire::CopyFileRangeIn&, bool wide, Reply&) override;

  PassthroughStatistics statistics() const;
  const std::shared_ptr<Epochs>& epochs() const { return epochs_; }

 private:
  // Descriptor of an open handle, or of the node if there is no handle.
  Lease file(uint64_t node, uint64_t handle, Access access, int* error);
  Lease directory(uint64_t node, uint64_t handle, int* error);
  Lease any(uint64_t node, bool has_handle, uint64_t handle, int* error);
  // Identity of a node that the kernel knows; zero for one that was made up.
  InodeKey key(uint64_t node) const;

  uint64_t visible_ino(const InodeKey& key) const;
  uint64_t seconds_valid(const InodeKey& key) const;
  wire::Attributes attributes_of(const struct stat& status) const;
  wire::EntryOut entry_of(uint64_t node, const struct stat& status) const;
  Outcome reply_attributes(const Lease& lease, Reply& reply) const;

  // Counts a lookup of a name and answers with its entry.
  Outcome reply_entry(const Lease& parent, uint64_t parent_node, std::string_view name, Reply& reply);
  // Answers with a new inode and reports it.
  Outcome reply_created(const Lease& parent, uint64_t parent_node, std::string_view name, Reply& reply);
  // The same for a new open file; `name` is empty for one without a name.
  Outcome reply_created_open(FileDescriptor fd, const Lease& parent, const Request&, std::string_view name,
                             Reply& reply);
  Outcome remove(const Request&, std::string_view name, int flags);

  Outcome read_directory(const Request&, const wire::ReadIn&, bool plus, Reply&);
  wire::EntryOut entry_in_directory(const Lease& directory, uint64_t node, const char* name);

  int set_size(const Request&, const wire::SetattrIn&, const Subject&, const Lease&);
  int set_owner_and_mode(const Request&, const wire::SetattrIn&, const Subject&, const Lease&);
  // Changes content with `act`, which returns what a system call does; in writeback mode the file keeps its time.
  template <typename Act>
  auto keeping_time(uint64_t node, const Lease& lease, Act act) {
    if (connection_.data_mode != DataMode::kWriteback) return act();
    note_time(node, lease);
    const auto result = act();
    if (result < 0) return result;
    restore_time(node, lease);
    return result;
  }
  void note_time(uint64_t node, const Lease& lease);
  void restore_time(uint64_t node, const Lease& lease) const;
  int set_times(uint64_t node, const wire::SetattrIn&, const Subject&, const Lease&);

  const PassthroughOptions options_;
  const bool stateless_;
  const std::unique_ptr<Nodes> nodes_;
  const std::shared_ptr<Epochs> epochs_;
  Changes changes_;
  OpenFiles open_files_;
  KeptTimes kept_times_;
  Connection connection_;
  Notifier* notifier_ = nullptr;
};

}  // namespace covault

#endif  // COVAULT_PASSTHROUGH_HANDLER_H_
