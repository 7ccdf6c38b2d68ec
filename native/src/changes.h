// The one place where the engine changes the data directory's content, sizes, attributes and names as far as others
// must learn of it. Every change is made by a function passed to one of the members here, which
//   holds a pass of the gate (`enter`, by the request as a whole), so that it is before a cut or after it;
//   has open epochs keep what is about to change;
//   reports it to the mutation log after it succeeded and before the request is answered.
//
// Inodes of other devices mounted below the data directory are served but neither kept nor reported: the log's inode
// numbers are those of the data directory's own file system.
#ifndef COVAULT_CHANGES_H_
#define COVAULT_CHANGES_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string_view>

#include "epochs.h"
#include "inodes.h"
#include "mutation_log.h"

namespace covault {

// An inode with a descriptor of it, of any kind.
struct Subject {
  InodeKey inode;
  int fd = -1;
};

class Changes {
 public:
  Changes(std::shared_ptr<MutationLog> log, std::shared_ptr<Epochs> epochs, uint64_t device)
      : log_(std::move(log)), epochs_(std::move(epochs)), device_(device) {}

  // Held while a request changes something; the members below are called with it.
  Gate::Pass enter() { return Gate::Pass(epochs_->gate()); }

  // `act` changes up to `length` bytes from `offset` and returns how many, or a negative number.
  template <typename Act>
  ssize_t content(const Subject& file, uint64_t offset, uint64_t length, Act act) {
    keep_content(file, offset, length);
    errno = 0;  // a change that is cut short leaves the reason here
    ssize_t done = act();
    if (done < static_cast<ssize_t>(length) && lacks_room()) done = std::max(done, act());
    if (done > 0 && reports(file.inode)) log_->content(file.inode.ino, offset, static_cast<uint64_t>(done));
    return done;
  }

  // The others' `act` returns 0 on success.
  template <typename Act>
  int range(const Subject& file, uint64_t offset, uint64_t length, Act act) {
    keep_content(file, offset, length);
    int result = act();
    if (result != 0 && lacks_room()) result = act();
    if (result == 0 && reports(file.inode)) log_->content(file.inode.ino, offset, length);
    return result;
  }
  template <typename Act>
  int size(const Subject& file, uint64_t size, Act act) {
    keep_content(file, size, UINT64_MAX - size);
    int result = act();
    if (result != 0 && lacks_room()) result = act();
    if (result == 0 && reports(file.inode)) log_->truncate(file.inode.ino, size);
    return result;
  }
  template <typename Act>
  int attributes(const Subject& subject, Act act) {
    keep_attributes(subject);
    const int result = act();
    if (result == 0 && reports(subject.inode)) log_->attributes(subject.inode.ino);
    return result;
  }
  template <typename Act>
  int xattrs(const Subject& subject, Act act) {
    keep_attributes(subject);
    int result = act();
    if (result != 0 && lacks_room()) result = act();
    if (result == 0 && reports(subject.inode)) log_->xattrs(subject.inode.ino);
    return result;
  }
  // `status` is what stands at the name.
  template <typename Act>
  int unlink(const struct stat& status, const Subject& parent, std::string_view name, Act act) {
    keep_name(parent, name);
    keep_inode(status, parent, name, S_ISDIR(status.st_mode) || status.st_nlink <= 1);
    const int result = act();
    const InodeKey inode = key_of(status);
    if (result == 0) died(status);
    if (result == 0 && reports(inode)) log_->unlink(inode.ino, parent.inode.ino, name);
    return result;
  }
  template <typename Act>
  int link(const Subject& subject, const Subject& parent, std::string_view name, Act act) {
    keep_name(parent, name);
    keep_attributes(subject);
    int result = act();
    if (result != 0 && lacks_room()) result = act();
    if (result == 0 && reports(subject.inode)) log_->link(subject.inode.ino, parent.inode.ino, name);
    return result;
  }
  // `replaced` is what stands at the new name, null for nothing; it goes, or moves if `exchange`.
  template <typename Act>
  int rename(const struct stat& moved, const Subject& parent, std::string_view name, const Subject& new_parent,
             std::string_view new_name, const struct stat* replaced, bool exchange, Act act) {
    keep_name(parent, name);
    keep_name(new_parent, new_name);
    keep_inode(moved, parent, name, false);
    if (replaced != nullptr) {
      const bool dies = !exchange && (S_ISDIR(replaced->st_mode) || replaced->st_nlink <= 1);
      keep_inode(*replaced, new_parent, new_name, dies);
    }
    int result = act();
    if (result != 0 && lacks_room()) result = act();
    const InodeKey inode = key_of(moved);
    if (result == 0 && replaced != nullptr && !exchange) died(*replaced);
    if (result == 0 && reports(inode)) {
      log_->rename(inode.ino, parent.inode.ino, name, new_parent.inode.ino, new_name, exchange);
    }
    return result;
  }

  // `act` makes a new inode and returns a negative number if it cannot; then `created`.
  template <typename Act>
  int make(const Subject& parent, std::string_view name, Act act) {
    keep_name(parent, name);
    const int result = act();
    return result < 0 && lacks_room() ? act() : result;
  }
  // A new inode is reported when its number is known; `name` is empty for one without a name.
  void created(const InodeKey& inode, const InodeKey& parent, std::string_view name) {
    if (inode.device != device_) return;
    if (epochs_->active()) epochs_->created(inode.ino);
    if (!name.empty()) named(inode, parent, name);
  }
  // An inode without a name got one.
  void named(const InodeKey& inode, const InodeKey& parent, std::string_view name) {
    if (reports(inode)) log_->create(inode.ino, parent.ino, name);
  }
  // A change of another kind touched the mode as well (setuid and setgid bits, access control lists).
  void mode_touched(const InodeKey& inode) {
    if (reports(inode)) log_->attributes(inode.ino);
  }

 private:
  static InodeKey key_of(const struct stat& status) { return {status.st_dev, status.st_ino}; }
  bool reports(const InodeKey& inode) const { return log_ != nullptr && inode.device == device_; }
  bool keeps(const InodeKey& inode) const { return epochs_->active() && inode.device == device_; }

  void keep_content(const Subject& file, uint64_t offset, uint64_t length) {
    if (!keeps(file.inode)) return;
    const uint64_t end = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
    epochs_->changes_content(file.inode.ino, file.fd, offset, end);
  }
  void keep_attributes(const Subject& subject) {
    if (keeps(subject.inode)) epochs_->changes_attributes(subject.inode.ino, subject.fd);
  }
  void keep_name(const Subject& parent, std::string_view name) {
    if (keeps(parent.inode)) epochs_->changes_name(parent.inode.ino, parent.fd, name);
  }
  void keep_inode(const struct stat& status, const Subject& parent, std::string_view name, bool dies) {
    if (keeps(key_of(status))) epochs_->loses_name(status, parent.fd, name, dies);
  }
  void died(const struct stat& status) {
    if (S_ISDIR(status.st_mode) && keeps(key_of(status))) epochs_->directory_died(status.st_ino);
  }
  // After a failure: whether it was for want of room that open epochs took, and there is more now.
  bool lacks_room() { return (errno == ENOSPC || errno == EDQUOT) && epochs_->make_room(); }

  const std::shared_ptr<MutationLog> log_;
  const std::shared_ptr<Epochs> epochs_;
  const uint64_t device_;
};

}  // namespace covault

#endif  // COVAULT_CHANGES_H_
