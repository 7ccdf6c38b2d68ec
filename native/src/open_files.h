// Files and directories that the kernel holds open, by handle: used where an open file must keep its own descriptor
// (ordinary users, whose rights to a file may change while it is open).
//
// Lock order: a shard's mutex is a leaf.
#ifndef COVAULT_OPEN_FILES_H_
#define COVAULT_OPEN_FILES_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "descriptors.h"

namespace covault {

class OpenFiles {
 public:
  // Handles are never 0 and never used again.
  uint64_t add(FileDescriptor fd, Access access, bool append_only = false) {
    const uint64_t handle = next_.fetch_add(1, std::memory_order_relaxed);
    Lease lease = std::make_shared<OpenDescriptor>(std::move(fd), access);
    lease->append_only = append_only;
    Shard& shard = this->shard(handle);
    const std::lock_guard lock(shard.mutex);
    shard.files.emplace(handle, std::move(lease));
    return handle;
  }

  Lease find(uint64_t handle) {
    Shard& shard = this->shard(handle);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.files.find(handle);
    return found == shard.files.end() ? nullptr : found->second;
  }

  void release(uint64_t handle) {
    Lease closed;  // outlives the lock
    Shard& shard = this->shard(handle);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.files.find(handle);
    if (found == shard.files.end()) return;
    closed = std::move(found->second);
    shard.files.erase(found);
  }

  size_t size() const {
    size_t sum = 0;
    for (const Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      sum += shard.files.size();
    }
    return sum;
  }

 private:
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<uint64_t, Lease> files;
  };
  Shard& shard(uint64_t handle) { return shards_[handle % shards_.size()]; }

  std::atomic<uint64_t> next_ = 1;
  std::array<Shard, 16> shards_;
};

}  // namespace covault

#endif  // COVAULT_OPEN_FILES_H_
