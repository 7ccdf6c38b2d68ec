#include "inodes.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace covault {

namespace {

uint32_t index_of(uint64_t node) { return static_cast<uint32_t>(node); }

}  // namespace

Identity Inodes::Inode::identity() const {
  Identity identity{.key = key(), .type = type(), .handle = {}};
  identity.handle.type = handle_type_;
  identity.handle.bytes = handle_bytes_;
  std::memcpy(identity.handle.data.data(), place_.handle.data(), handle_bytes_);
  return identity;
}

void Inodes::Inode::begin(const Identity& identity) {
  ino_ = identity.key.ino;
  device_ = static_cast<uint32_t>(identity.key.device);
  type_ = static_cast<uint8_t>(identity.type >> 12);
  handle_bytes_ = identity.handle.bytes;
  handle_type_ = identity.handle.type;
  if (has_handle()) {
    place_.handle = identity.handle.data;
  } else {
    place_.name = nullptr;
  }
}

void Inodes::Inode::end() {
  delete name();
  handle_bytes_ = 0;
  place_.name = nullptr;
}

std::unique_ptr<InodeName> Inodes::Inode::swap_name(std::unique_ptr<InodeName> name) {
  if (has_handle()) return name;  // is not found by it
  std::unique_ptr<InodeName> old(place_.name);
  place_.name = name.release();
  return old;
}

Inodes::Inodes(const Identity& root, OnForgotten on_forgotten)
    : on_forgotten_(std::move(on_forgotten)), chunks_(new std::atomic<Inode*>[kChunks]()) {
  for (Shard& shard : shards_) shard.buckets.resize(16);
  // The first slot taken is number 1 of generation 0: the root. Its lookup is never taken back.
  remember(root, 0, {});
}

Inodes::~Inodes() {
  for (uint32_t i = 0; i < kChunks; i++) {
    Inode* chunk = chunks_[i].load();
    if (chunk == nullptr) break;
    delete[] chunk;
  }
}

uint64_t Inodes::hash(const InodeKey& key) {
  uint64_t h = key.ino * 0x9e3779b97f4a7c15ull ^ key.device * 0xc2b2ae3d27d4eb4full;
  h ^= h >> 32;
  h *= 0xd6e8feb86659fd93ull;
  return h ^ (h >> 29);
}

Inodes::Inode* Inodes::slot(uint32_t index) const {
  Inode* chunk = chunks_[index / kChunkSlots].load(std::memory_order_acquire);
  return chunk == nullptr ? nullptr : chunk + index % kChunkSlots;
}

Inodes::Inode* Inodes::mutable_find(uint64_t node) const {
  if (node == 0 || index_of(node) / kChunkSlots >= kChunks) return nullptr;
  Inode* inode = slot(index_of(node));
  return inode != nullptr && inode->node_.load(std::memory_order_acquire) == node ? inode : nullptr;
}

const Inodes::Inode* Inodes::find(uint64_t node) const { return mutable_find(node); }

uint64_t Inodes::find(const InodeKey& key) const {
  const uint64_t h = hash(key);
  const Shard& shard = this->shard(h);
  const std::lock_guard lock(shard.mutex);
  const Inode* inode = find_locked(shard, h, key);
  return inode == nullptr ? 0 : inode->node_.load(std::memory_order_relaxed);
}

Inodes::Inode* Inodes::find_locked(const Shard& shard, uint64_t hash, const InodeKey& key) const {
  for (uint32_t i = shard.buckets[(hash / kShards) & (shard.buckets.size() - 1)]; i != 0;) {
    Inode* inode = slot(i);
    if (inode->key() == key) return inode;
    i = inode->next_;
  }
  return nullptr;
}

void Inodes::insert_locked(Shard& shard, uint64_t hash, Inode* inode, uint32_t index) {
  if (shard.count >= shard.buckets.size()) grow_locked(shard);
  uint32_t& first = shard.buckets[(hash / kShards) & (shard.buckets.size() - 1)];
  inode->next_ = first;
  inode->in_table_ = true;
  first = index;
  shard.count++;
}

void Inodes::remove_locked(Shard& shard, uint64_t hash, Inode* inode) {
  if (!inode->in_table_) return;
  uint32_t* link = &shard.buckets[(hash / kShards) & (shard.buckets.size() - 1)];
  while (slot(*link) != inode) link = &slot(*link)->next_;
  *link = inode->next_;
  inode->in_table_ = false;
  shard.count--;
}

void Inodes::grow_locked(Shard& shard) {
  std::vector<uint32_t> buckets(shard.buckets.size() * 2);
  for (uint32_t i : shard.buckets) {
    while (i != 0) {
      Inode* inode = slot(i);
      const uint32_t next = inode->next_;
      uint32_t& first = buckets[(hash(inode->key()) / kShards) & (buckets.size() - 1)];
      inode->next_ = first;
      first = i;
      i = next;
    }
  }
  shard.buckets.swap(buckets);
}

uint32_t Inodes::take_slot() {
  const std::lock_guard lock(slots_mutex_);
  size_.fetch_add(1, std::memory_order_relaxed);
  if (free_first_ != 0) {
    const uint32_t index = free_first_;
    free_first_ = slot(index)->next_;
    return index;
  }
  const uint32_t index = slots_used_++;
  if (index / kChunkSlots >= kChunks) std::abort();  // a thousand million inodes
  std::atomic<Inode*>& chunk = chunks_[index / kChunkSlots];
  if (chunk.load(std::memory_order_relaxed) == nullptr) {
    chunk.store(new Inode[kChunkSlots], std::memory_order_release);
  }
  return index;
}

void Inodes::free_slot(Inode* inode) {
  const uint64_t node = inode->node_.load(std::memory_order_relaxed);
  const uint32_t index = index_of(node);
  const std::lock_guard lock(slots_mutex_);
  inode->node_.store(((node >> 32) + 1) << 32, std::memory_order_release);
  inode->end();
  inode->lookups_ = 0;
  inode->children_ = 0;
  inode->next_ = free_first_;
  free_first_ = index;
  size_.fetch_sub(1, std::memory_order_relaxed);
}

uint64_t Inodes::remember(const Identity& identity, uint64_t parent, std::string_view name) {
  const uint64_t h = hash(identity.key);
  Shard& shard = this->shard(h);
  uint64_t node = 0;
  {
    const std::lock_guard lock(shard.mutex);
    Inode* inode = find_locked(shard, h, identity.key);
    if (inode != nullptr && !(inode->identity() == identity)) {
      // The number was given to another file. The old one keeps its node id until the kernel forgets it.
      remove_locked(shard, h, inode);
      inode = nullptr;
    }
    if (inode == nullptr) {
      const uint32_t index = take_slot();
      inode = slot(index);
      inode->begin(identity);
      insert_locked(shard, h, inode, index);
      inode->node_.store(inode->node_.load(std::memory_order_relaxed) | index, std::memory_order_release);
    }
    inode->lookups_++;
    node = inode->node_.load(std::memory_order_relaxed);
  }
  if (!identity.handle.is_known() && parent != 0) set_name(node, parent, name);
  return node;
}

void Inodes::forget(uint64_t node, uint64_t lookups) { release(node, lookups, 0); }

void Inodes::release(uint64_t node, uint64_t lookups, uint32_t children) {
  while (node != wire::kRootNode) {
    // What is taken back here is what keeps the inode, so that its identity can be read before its shard is locked.
    Inode* inode = mutable_find(node);
    if (inode == nullptr) return;
    const uint64_t h = hash(inode->key());
    uint64_t parent = 0;
    {
      Shard& shard = this->shard(h);
      const std::lock_guard lock(shard.mutex);
      inode->lookups_ -= std::min(lookups, inode->lookups_);
      inode->children_ -= std::min(children, inode->children_);
      if (inode->lookups_ > 0 || inode->children_ > 0) return;
      if (inode->name() != nullptr) parent = inode->name()->parent;
      remove_locked(shard, h, inode);
      free_slot(inode);
    }
    on_forgotten_(node);
    if (parent == 0) return;
    node = parent;
    lookups = 0;
    children = 1;
  }
}

std::vector<uint64_t> Inodes::all_of_type(uint32_t type) const {
  std::vector<uint64_t> found;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const uint32_t first : shard.buckets) {
      for (uint32_t i = first; i != 0;) {
        const Inode* inode = slot(i);
        if (inode->type() == type) found.push_back(inode->node_.load(std::memory_order_relaxed));
        i = inode->next_;
      }
    }
  }
  return found;
}

void Inodes::add_child(uint64_t parent) {
  Inode* inode = mutable_find(parent);
  if (inode == nullptr) return;
  const std::lock_guard lock(shard(hash(inode->key())).mutex);
  inode->children_++;
}

bool Inodes::name_of(uint64_t node, InodeName* name) const {
  const Inode* inode = mutable_find(node);
  if (inode == nullptr) return false;
  const std::lock_guard lock(shard(hash(inode->key())).mutex);
  if (inode->name() == nullptr) return false;
  *name = *inode->name();
  return true;
}

bool Inodes::is_named(uint64_t node, uint64_t parent, std::string_view name) const {
  InodeName known;
  return name_of(node, &known) && known.parent == parent && known.name == name;
}

void Inodes::set_name(uint64_t node, uint64_t parent, std::string_view name) {
  Inode* inode = mutable_find(node);
  if (inode == nullptr || node == wire::kRootNode || node == parent) return;
  add_child(parent);
  auto fresh = std::make_unique<InodeName>(InodeName{parent, std::string(name)});
  {
    const std::lock_guard lock(shard(hash(inode->key())).mutex);
    fresh = inode->swap_name(std::move(fresh));
  }
  if (fresh != nullptr) release(fresh->parent, 0, 1);
}

void Inodes::drop_name(uint64_t node) {
  Inode* inode = mutable_find(node);
  if (inode == nullptr) return;
  std::unique_ptr<InodeName> old;
  {
    const std::lock_guard lock(shard(hash(inode->key())).mutex);
    old = inode->swap_name(nullptr);
  }
  if (old != nullptr) release(old->parent, 0, 1);
}

}  // namespace covault
