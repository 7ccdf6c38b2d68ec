// Modification times of files in writeback mode, when the kernel owns them. The time below must be the one that the
// kernel got with the inode or told last (SETATTR), but every change below moves it to now. The kernel tells a time only
// if it differs from the one it knows, and may do so before its pages are written. So each change puts the time back:
// the one remembered here, or else the one that was there before the change.
//
// Remembered so that a change does not put back a time that is told meanwhile. Bounded: of too many, the oldest are
// dropped. Thread-safe; the locks are leaves.
#ifndef COVAULT_KEPT_TIMES_H_
#define COVAULT_KEPT_TIMES_H_

#include <array>
#include <cstdint>
#include <ctime>
#include <deque>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace covault {

class KeptTimes {
 public:
  static constexpr size_t kShards = 16;
  static constexpr size_t kPerShard = 256;

  // The kernel told a time.
  void tell(uint64_t node, const timespec& mtime) { put(node, mtime, true); }

  // The time before a change, if none is remembered.
  void found(uint64_t node, const timespec& mtime) { put(node, mtime, false); }

  std::optional<timespec> of(uint64_t node) const {
    const Shard& shard = shards_[node % kShards];
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.times.find(node);
    return found == shard.times.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  void put(uint64_t node, const timespec& mtime, bool replace) {
    Shard& shard = shards_[node % kShards];
    const std::lock_guard lock(shard.mutex);
    const auto [place, is_new] = shard.times.try_emplace(node, mtime);
    if (replace) place->second = mtime;
    if (!is_new) return;
    shard.order.push_back(node);
    if (shard.order.size() <= kPerShard) return;
    shard.times.erase(shard.order.front());
    shard.order.pop_front();
  }

  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<uint64_t, timespec> times;
    std::deque<uint64_t> order;  // as they came
  };
  std::array<Shard, kShards> shards_;
};

}  // namespace covault

#endif  // COVAULT_KEPT_TIMES_H_
