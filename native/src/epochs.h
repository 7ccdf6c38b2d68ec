// Epochs: moments of a data directory that stay readable while it goes on changing. How they are made, what changes
// must preserve, and what that costs. `docs/design/cut.md` has the promises and the reasons.
//
// Every change holds a pass of the gate and, if `active()`, tells what it is about to change, before it does. What
// cannot be preserved (no space, an error) makes all open epochs fail; the change goes on.
//
// Lock order: `mutex_` is a leaf. For records and shards see epoch_layer.h.
#ifndef COVAULT_EPOCHS_H_
#define COVAULT_EPOCHS_H_

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "epoch_layer.h"
#include "gate.h"

namespace covault {

struct EpochOptions {
  // What is preserved may take so many bytes.
  uint64_t space_bytes_max = uint64_t{10} << 30;
  // Where that is kept if the data directory's file system has no files without a name; may be empty.
  std::string spare_directory;
  // Descriptors that may be kept of inodes that are not where they were.
  size_t kept_max = 0;
  // Memory for records, bytes.
  uint64_t memory_bytes_max = uint64_t{256} << 20;
};

struct OpenedEpoch {
  uint64_t id = 0;
  int64_t time_ns = 0;   // of the cut, since 1970
  uint64_t held_ns = 0;  // the longest time for which changes were held up
  unsigned attempts = 0;
  int error = 0;  // then nothing is open
};

struct EpochStatistics {
  struct Open {
    uint64_t id = 0;
    uint64_t age_ms = 0;
  };
  std::vector<Open> open;
  uint64_t opened = 0;  // since the start
  uint64_t failed = 0;
  uint64_t space_bytes = 0;  // preserved now
  uint64_t space_bytes_max = 0;
  uint64_t memory_bytes = 0;
  uint64_t kept_descriptors = 0;
  bool shares_blocks = false;  // of the newest: by reflink
  uint64_t held_last_ns = 0;   // changes were held up by the last cut
  uint64_t held_p50_ns = 0;    // … by the last thousand
  uint64_t held_p99_ns = 0;
  uint64_t held_max_ns = 0;
  uint64_t waited_max_ns = 0;  // the longest that one change waited for a cut, since the start
};

class Epochs {
 public:
  // `directory_fd` is not taken over; handles: inodes can be opened by file handle through it.
  Epochs(int directory_fd, uint64_t device, bool handles, EpochOptions options);

  // Known to `of` as long as they live.
  static std::shared_ptr<Epochs> make(int directory_fd, uint64_t device, bool handles, EpochOptions options);
  // Those of which the epoch is one that is open, in the whole process; null if there are none.
  static std::shared_ptr<Epochs> of(uint64_t id);

  // Makes a cut. `at_cut` runs while no change does. From a thread that may wait, not one of the transport.
  OpenedEpoch open(const std::function<void()>& at_cut);
  // Lets go of an epoch; what no other needs is dropped. Idempotent.
  void close(uint64_t id);
  // Why an epoch cannot be read any more; empty while it can.
  std::string failure(uint64_t id) const;
  EpochStatistics statistics() const;

  // --- for changes, which hold a pass ---
  Gate& gate() { return gate_; }
  bool active() const { return active_.load(std::memory_order_acquire); }
  // `fd`: any descriptor of the inode.
  void changes_content(uint64_t inode, int fd, uint64_t start, uint64_t end);
  void changes_attributes(uint64_t inode, int fd);
  // What `name` leads to is about to be another.
  void changes_name(uint64_t directory, int directory_fd, std::string_view name);
  // The inode is about to lose the name; `dies`: its last.
  void loses_name(const struct stat& status, int directory_fd, std::string_view name, bool dies);
  // A directory has lost its only name; before that it could have refused to.
  void directory_died(uint64_t inode);
  // An inode was made, which may have got the number of one that is gone.
  void created(uint64_t inode);
  // A change met a full file system: gives up all epochs if that makes room.
  bool make_room();

  // --- for readers ---
  // The layers to look at for an epoch, its own first; empty if it is not open any more.
  std::vector<std::shared_ptr<EpochLayer>> layers(uint64_t id) const;
  int directory_fd() const { return directory_.get(); }
  uint64_t device() const { return device_; }

 private:
  struct OpenEpoch {
    uint64_t id = 0;
    std::chrono::steady_clock::time_point since;
  };

  std::shared_ptr<EpochLayer> newest() const;
  // The inode's record in the newest layer; null if nothing is to be preserved, or if that failed.
  std::shared_ptr<EpochRecord> record(EpochLayer& layer, uint64_t inode, int fd);
  int keep_content(EpochLayer& layer, EpochRecord& record, int fd, uint64_t start, uint64_t end);
  int keep_inode(EpochLayer& layer, EpochRecord& record, FileDescriptor fd, bool dies);
  void fail(int error, const char* doing);
  void drop_unneeded_locked();

  const FileDescriptor directory_;
  const uint64_t device_;
  const bool handles_;
  const EpochOptions options_;
  const std::shared_ptr<Space> space_;
  const std::shared_ptr<RecordBudget> budget_;
  const std::shared_ptr<std::atomic<size_t>> kept_ = std::make_shared<std::atomic<size_t>>(0);

  Gate gate_;
  std::atomic<bool> active_ = false;
  // Held while what failed epochs kept is given back to the file system. Taken before `mutex_`.
  std::mutex room_mutex_;
  std::chrono::steady_clock::time_point made_room_at_ = {};  // guarded by room_mutex_
  mutable std::mutex mutex_;                         // guards what follows
  std::vector<std::shared_ptr<EpochLayer>> layers_;  // oldest first
  std::vector<OpenEpoch> open_;
  std::vector<std::pair<uint64_t, std::string>> failures_;  // of the last few
  std::vector<uint64_t> held_ns_;                           // of the last thousand cuts, in turn
  uint64_t opened_ = 0;
  uint64_t failed_ = 0;
};

}  // namespace covault

#endif  // COVAULT_EPOCHS_H_
