// Modification times that the kernel has told, in writeback mode. It owns them, but its last WRITEs may be handled after
// the SETATTR that tells the time, and each write below moves the file's time to now: it has to be put back.
//
// Bounded: of too many, the oldest are dropped. Thread-safe; the locks are leaves.
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
  static constexpr size_t kPerShard = 1024;

  void keep(uint64_t node, const timespec& mtime) {
    Shard& shard = shards_[node % kShards];
    const std::lock_guard lock(shard.mutex);
    if (!shard.times.insert_or_assign(node, mtime).second) return;
    shard.order.push_back(node);
    if (shard.order.size() <= kPerShard) return;
    shard.times.erase(shard.order.front());
    shard.order.pop_front();
  }

  std::optional<timespec> of(uint64_t node) const {
    const Shard& shard = shards_[node % kShards];
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.times.find(node);
    return found == shard.times.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<uint64_t, timespec> times;
    std::deque<uint64_t> order;  // as they were first told
  };
  std::array<Shard, kShards> shards_;
};

}  // namespace covault

#endif  // COVAULT_KEPT_TIMES_H_
