// A bounded cache of open descriptors, by node. The least recently used go when it is full; pinned ones never.
//
// Whoever works with a descriptor holds a lease (a shared pointer), so that eviction never closes one in use.
//
// Lock order: a shard's mutex is a leaf; descriptors are closed after it was given back.
#ifndef COVAULT_DESCRIPTORS_H_
#define COVAULT_DESCRIPTORS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "posix.h"

namespace covault {

// What a descriptor may be used for.
enum class Access : uint8_t { kPath, kRead, kReadWrite };

struct OpenDescriptor {
  OpenDescriptor(FileDescriptor descriptor, Access access_kind) : fd(std::move(descriptor)), access(access_kind) {}
  FileDescriptor fd;
  Access access;
  // Every write goes to the end of the file, whatever its offset: the file has the append-only attribute.
  bool append_only = false;
  // Written by large requests since the file system below was last told to begin writing to its disk.
  std::atomic<uint64_t> streamed = 0;
  // Held while the position of a directory is moved and entries are read from it; guards where it stands.
  std::mutex position;
  uint64_t next_entry = 0;
};

using Lease = std::shared_ptr<OpenDescriptor>;

class Descriptors {
 public:
  explicit Descriptors(size_t cached_max);
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  // Null if there is none.
  Lease find(uint64_t node);
  // Keeps a descriptor, in place of one the node may have had; a pin stays.
  Lease insert(uint64_t node, FileDescriptor fd, Access access) {
    return insert(node, std::make_shared<OpenDescriptor>(std::move(fd), access));
  }
  Lease insert(uint64_t node, Lease lease);
  // Keeps the descriptor of a node until it is dropped. False if there is none.
  bool pin(uint64_t node);
  void unpin(uint64_t node);
  void drop(uint64_t node);
  void drop_unpinned(uint64_t node);
  // Closes half of what is not pinned: the process has run out of descriptors.
  void shrink();

  size_t size() const;
  size_t pinned() const;

 private:
  static constexpr size_t kShards = 16;
  struct Entry {
    uint64_t node;
    Lease lease;
    bool pinned;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::list<Entry> recent;  // not pinned, most recently used first
    std::list<Entry> pinned;
    std::unordered_map<uint64_t, std::list<Entry>::iterator> by_node;
  };
  Shard& shard(uint64_t node) { return shards_[(node ^ (node >> 4)) % kShards]; }
  void drop(uint64_t node, bool pinned_too);
  static void evict_locked(Shard& shard, size_t keep, std::vector<Lease>* evicted);

  const size_t shard_max_;
  std::array<Shard, kShards> shards_;
};

}  // namespace covault

#endif  // COVAULT_DESCRIPTORS_H_
