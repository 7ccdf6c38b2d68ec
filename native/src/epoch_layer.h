// What was preserved of the inodes that changed while one epoch was the newest. Epochs that are open at once are
// layers: a change preserves into the newest; a reader of an epoch looks at its own layer first, then at the newer
// ones, then at what is live.
//
// Lock order: a shard's mutex is a leaf. A record's mutex is held across the system calls that preserve, so that nobody
// changes a range before it is kept; nothing but leaves is taken under it, and no second record's.
#ifndef COVAULT_EPOCH_LAYER_H_
#define COVAULT_EPOCH_LAYER_H_

#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "arena.h"
#include "epoch_extents.h"
#include "inodes.h"
#include "posix.h"

namespace covault {

// What a tree says of an inode, and what tells that it changed.
struct EpochAttributes {
  uint64_t inode = 0;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t nlink = 0;
  uint64_t size = 0;
  int64_t mtime_ns = 0;
  int64_t ctime_ns = 0;
  uint64_t rdev = 0;
  bool foreign = false;  // the root of another file system that is mounted there
  std::string target;    // of a symbolic link
  std::vector<XattrValue> xattrs;
};

// Reads them from a descriptor of any kind. Returns an errno.
int read_attributes(int fd, EpochAttributes* attributes);

// One inode that existed at the cut and changed since.
struct EpochRecord {
  EpochRecord() = default;
  ~EpochRecord() {
    if (kept.is_open()) kept_count->fetch_sub(1, std::memory_order_relaxed);
  }
  EpochRecord(const EpochRecord&) = delete;
  EpochRecord& operator=(const EpochRecord&) = delete;

  std::mutex mutex;  // guards what can change: all but `attributes`
  EpochAttributes attributes;
  Extents content;
  // What names in this directory led to: an inode, or 0 for nothing.
  std::map<std::string, uint64_t> names;
  // How the inode can be opened though it is not where it was: by one of these, or not at all because it is `whole`.
  FileDescriptor kept;
  std::shared_ptr<std::atomic<size_t>> kept_count;  // where `kept` is counted
  FileHandle handle;
  // All that there was is here (content too); whatever has the inode's number now is of no concern.
  bool whole = false;
};

// Memory that records may take, all layers together.
struct RecordBudget {
  static constexpr uint64_t kRecordBytes = 400;
  static constexpr uint64_t kFreshBytes = 48;
  static constexpr uint64_t kNameBytes = 96;
  explicit RecordBudget(uint64_t bytes_max) : space(bytes_max) {}
  Space space;
};

class EpochLayer {
 public:
  EpochLayer(uint64_t epoch, std::unique_ptr<Arena> arena, std::shared_ptr<RecordBudget> budget);
  ~EpochLayer();

  uint64_t epoch() const { return epoch_; }
  Arena& arena() { return *arena_; }
  const Arena& arena() const { return *arena_; }

  // Null if there is none.
  std::shared_ptr<EpochRecord> find(uint64_t inode) const;
  // Adds a record, unless one was added meanwhile; returns the one that counts. Null: no room.
  std::shared_ptr<EpochRecord> add(uint64_t inode, EpochAttributes attributes);
  // Made after the cut.
  bool is_fresh(uint64_t inode) const;
  // False: no room.
  bool add_fresh(uint64_t inode);
  // Counts memory that a record needs beyond its own.
  bool charge(uint64_t bytes);

 private:
  static constexpr size_t kShards = 32;
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<uint64_t, std::shared_ptr<EpochRecord>> records;
    std::unordered_set<uint64_t> fresh;
  };
  Shard& shard(uint64_t inode) { return shards_[(inode ^ (inode >> 5)) % kShards]; }
  const Shard& shard(uint64_t inode) const { return shards_[(inode ^ (inode >> 5)) % kShards]; }

  const uint64_t epoch_;
  const std::unique_ptr<Arena> arena_;
  const std::shared_ptr<RecordBudget> budget_;
  std::atomic<uint64_t> charged_ = 0;
  std::array<Shard, kShards> shards_;
};

}  // namespace covault

#endif  // COVAULT_EPOCH_LAYER_H_
