#include "descriptors.h"

#include <algorithm>

namespace covault {

Descriptors::Descriptors(size_t cached_max) : shard_max_(std::max<size_t>(2, cached_max / kShards)) {}

Lease Descriptors::find(uint64_t node) {
  Shard& shard = this->shard(node);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.by_node.find(node);
  if (found == shard.by_node.end()) return nullptr;
  const auto entry = found->second;
  if (!entry->pinned && entry != shard.recent.begin()) {
    shard.recent.splice(shard.recent.begin(), shard.recent, entry);
  }
  return entry->lease;
}

Lease Descriptors::insert(uint64_t node, Lease lease) {
  std::vector<Lease> evicted;
  Shard& shard = this->shard(node);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.by_node.find(node);
  if (found != shard.by_node.end()) {
    evicted.push_back(std::exchange(found->second->lease, lease));
    return lease;
  }
  shard.recent.push_front({node, lease, false});
  shard.by_node.emplace(node, shard.recent.begin());
  evict_locked(shard, shard_max_, &evicted);
  return lease;
}

void Descriptors::evict_locked(Shard& shard, size_t keep, std::vector<Lease>* evicted) {
  while (shard.recent.size() > keep) {
    Entry& oldest = shard.recent.back();
    shard.by_node.erase(oldest.node);
    evicted->push_back(std::move(oldest.lease));
    shard.recent.pop_back();
  }
}

bool Descriptors::pin(uint64_t node) {
  Shard& shard = this->shard(node);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.by_node.find(node);
  if (found == shard.by_node.end()) return false;
  if (!found->second->pinned) {
    found->second->pinned = true;
    shard.pinned.splice(shard.pinned.begin(), shard.recent, found->second);
  }
  return true;
}

void Descriptors::unpin(uint64_t node) {
  std::vector<Lease> evicted;
  Shard& shard = this->shard(node);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.by_node.find(node);
  if (found == shard.by_node.end() || !found->second->pinned) return;
  found->second->pinned = false;
  shard.recent.splice(shard.recent.begin(), shard.pinned, found->second);
  evict_locked(shard, shard_max_, &evicted);
}

void Descriptors::drop(uint64_t node) { drop(node, true); }

void Descriptors::drop_unpinned(uint64_t node) { drop(node, false); }

void Descriptors::drop(uint64_t node, bool pinned_too) {
  Lease dropped;  // closed after the lock was given back
  Shard& shard = this->shard(node);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.by_node.find(node);
  if (found == shard.by_node.end()) return;
  const auto entry = found->second;
  if (entry->pinned && !pinned_too) return;
  dropped = std::move(entry->lease);
  shard.by_node.erase(found);
  (entry->pinned ? shard.pinned : shard.recent).erase(entry);
}

void Descriptors::shrink() {
  for (Shard& shard : shards_) {
    std::vector<Lease> evicted;
    const std::lock_guard lock(shard.mutex);
    evict_locked(shard, shard.recent.size() / 2, &evicted);
  }
}

size_t Descriptors::size() const {
  size_t sum = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum += shard.by_node.size();
  }
  return sum;
}

size_t Descriptors::pinned() const {
  size_t sum = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum += shard.pinned.size();
  }
  return sum;
}

}  // namespace covault
