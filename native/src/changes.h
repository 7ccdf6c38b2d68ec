// The one place where the engine changes the data directory's content, sizes, attributes and names as far as others
// must learn of it. Every change is made by a function passed to one of the members here, which reports it to the
// mutation log after it succeeded and before the request is answered. Old content that must outlive a change (an open
// epoch of a cut) is to be preserved in the same members, before the function runs.
//
// Inodes of other devices mounted below the data directory are served but not reported: the log's inode numbers are
// those of the data directory's own file system.
#ifndef COVAULT_CHANGES_H_
#define COVAULT_CHANGES_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string_view>

#include "inodes.h"
#include "mutation_log.h"

namespace covault {

class Changes {
 public:
  Changes(std::shared_ptr<MutationLog> log, uint64_t device) : log_(std::move(log)), device_(device) {}

  // `act` changes up to `length` bytes from `offset` and returns how many, or a negative number.
  template <typename Act>
  ssize_t content(const InodeKey& inode, uint64_t offset, Act act) {
    const ssize_t done = act();
    if (done > 0 && reports(inode)) log_->content(inode.ino, offset, static_cast<uint64_t>(done));
    return done;
  }

  // The others' `act` returns 0 on success.
  template <typename Act>
  int range(const InodeKey& inode, uint64_t offset, uint64_t length, Act act) {
    const int result = act();
    if (result == 0 && reports(inode)) log_->content(inode.ino, offset, length);
    return result;
  }
  template <typename Act>
  int size(const InodeKey& inode, uint64_t size, Act act) {
    const int result = act();
    if (result == 0 && reports(inode)) log_->truncate(inode.ino, size);
    return result;
  }
  template <typename Act>
  int attributes(const InodeKey& inode, Act act) {
    const int result = act();
    if (result == 0 && reports(inode)) log_->attributes(inode.ino);
    return result;
  }
  template <typename Act>
  int xattrs(const InodeKey& inode, Act act) {
    const int result = act();
    if (result == 0 && reports(inode)) log_->xattrs(inode.ino);
    return result;
  }
  template <typename Act>
  int unlink(const InodeKey& inode, const InodeKey& parent, std::string_view name, Act act) {
    const int result = act();
    if (result == 0 && reports(inode)) log_->unlink(inode.ino, parent.ino, name);
    return result;
  }
  template <typename Act>
  int link(const InodeKey& inode, const InodeKey& parent, std::string_view name, Act act) {
    const int result = act();
    if (result == 0 && reports(inode)) log_->link(inode.ino, parent.ino, name);
    return result;
  }
  template <typename Act>
  int rename(const InodeKey& inode, const InodeKey& parent, std::string_view name, const InodeKey& new_parent,
             std::string_view new_name, bool exchange, Act act) {
    const int result = act();
    if (result == 0 && reports(inode)) {
      log_->rename(inode.ino, parent.ino, name, new_parent.ino, new_name, exchange);
    }
    return result;
  }

  // A new inode is reported when its number is known.
  void created(const InodeKey& inode, const InodeKey& parent, std::string_view name) {
    if (reports(inode)) log_->create(inode.ino, parent.ino, name);
  }
  // A change of another kind touched the mode as well (setuid and setgid bits, access control lists).
  void mode_touched(const InodeKey& inode) {
    if (reports(inode)) log_->attributes(inode.ino);
  }

 private:
  bool reports(const InodeKey& inode) const { return log_ != nullptr && inode.device == device_; }

  const std::shared_ptr<MutationLog> log_;
  const uint64_t device_;
};

}  // namespace covault

#endif  // COVAULT_CHANGES_H_
