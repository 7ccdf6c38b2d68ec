// The inodes that the kernel knows of, with its lookup counts.
//
// Node ids. A node id is the index of a slot and the slot's generation: (generation << 32) | index. An id therefore
// never gets another meaning, an id that was made up is told from a real one without a search, and no pointer ever
// comes from the kernel. Slot 1 of generation 0 is the root, which is wire::kRootNode.
//
// Identity. An inode of the data directory is (device, inode number). Inode numbers are used again after a deletion, so
// a file handle that differs from the remembered one marks another file under the same number.
//
// Names. Inodes that have no file handle are opened again through a parent and a name. The table keeps the last name
// seen of each, and parents live as long as children are named after them. Inodes with a handle have no names here.
//
// Lock order. Every function takes one shard lock at a time; `slots_mutex_` may be taken under it and is a leaf.
// Functions that touch a child and its parent take their shards one after the other, never together.
#ifndef COVAULT_INODES_H_
#define COVAULT_INODES_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "file_handle.h"
#include "wire.h"

namespace covault {

struct InodeKey {
  uint64_t device = 0;
  uint64_t ino = 0;
  bool operator==(const InodeKey&) const = default;
};

struct InodeName {
  uint64_t parent = 0;
  std::string name;
};

struct Identity {
  InodeKey key;
  uint32_t type = 0;  // S_IFMT bits of the mode
  FileHandle handle;
  bool operator==(const Identity&) const = default;
};

class Inodes {
 public:
  // Called when the kernel has forgotten an inode, without a lock held; what is kept for `node` can go.
  using OnForgotten = std::function<void(uint64_t node)>;

  Inodes(const Identity& root, OnForgotten on_forgotten);
  ~Inodes();
  Inodes(const Inodes&) = delete;
  Inodes& operator=(const Inodes&) = delete;

  // One inode, in as few bytes as it can be: the kernel may know millions. What it is does not change, and may be looked
  // at without a lock, while the kernel knows the node.
  class Inode {
   public:
    Inode() = default;
    ~Inode() { delete name(); }
    Inode(const Inode&) = delete;
    Inode& operator=(const Inode&) = delete;

    InodeKey key() const { return {device_, ino_}; }
    uint32_t type() const { return uint32_t{type_} << 12; }
    bool has_handle() const { return handle_bytes_ > 0; }
    Identity identity() const;

   private:
    friend class Inodes;

    // A handle if handle_bytes_ says so; else a name or null, guarded by the shard.
    union Place {
      InodeName* name;
      std::array<std::byte, FileHandle::kBytesMax> handle;
    };

    void begin(const Identity& identity);
    void end();
    InodeName* name() const { return has_handle() ? nullptr : place_.name; }
    std::unique_ptr<InodeName> swap_name(std::unique_ptr<InodeName> name);

    // (generation << 32) | slot; in a free slot the generation that its next inode gets, and slot 0.
    std::atomic<uint64_t> node_ = 0;
    uint64_t ino_ = 0;
    uint64_t lookups_ = 0;   // of the kernel
    uint32_t device_ = 0;    // Linux has 32 bits of it
    uint32_t next_ = 0;      // slot: of the same bucket, or free
    uint32_t children_ = 0;  // inodes named after this one
    uint8_t type_ = 0;       // mode >> 12
    uint8_t handle_bytes_ = 0;
    uint8_t handle_type_ = 0;
    bool in_table_ = false;
    Place place_ = {.name = nullptr};
  };
  static_assert(sizeof(Inode) == 64);

  // Null if the kernel does not know such a node.
  const Inode* find(uint64_t node) const;

  // Node id of an inode, 0 if it is not known.
  uint64_t find(const InodeKey& key) const;

  // Counts one lookup of the inode, which is made known if it was not. `parent` and `name` are kept if the identity
  // has no handle. Returns the node id.
  uint64_t remember(const Identity& identity, uint64_t parent, std::string_view name);

  // Takes back `lookups` lookups.
  void forget(uint64_t node, uint64_t lookups);

  // Names of inodes without handles. `name_of` returns false if there is none. `rename` moves the name if the inode
  // is known by the old one; `drop_name` likewise.
  bool name_of(uint64_t node, InodeName* name) const;
  bool is_named(uint64_t node, uint64_t parent, std::string_view name) const;
  void set_name(uint64_t node, uint64_t parent, std::string_view name);
  void drop_name(uint64_t node);

  // Node ids of all inodes of one type that are known at some moment of the call.
  std::vector<uint64_t> all_of_type(uint32_t type) const;

  uint64_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kShards = 64;
  static constexpr uint32_t kChunkSlots = 8192;
  static constexpr uint32_t kChunks = 1u << 17;

  struct Shard {
    mutable std::mutex mutex;
    std::vector<uint32_t> buckets;  // slot of the first inode; size is a power of two
    uint32_t count = 0;
  };

  static uint64_t hash(const InodeKey& key);
  Shard& shard(uint64_t hash) { return shards_[hash % kShards]; }
  const Shard& shard(uint64_t hash) const { return shards_[hash % kShards]; }
  Inode* slot(uint32_t index) const;
  Inode* mutable_find(uint64_t node) const;
  Inode* find_locked(const Shard& shard, uint64_t hash, const InodeKey& key) const;
  void insert_locked(Shard& shard, uint64_t hash, Inode* inode, uint32_t index);
  void remove_locked(Shard& shard, uint64_t hash, Inode* inode);
  void grow_locked(Shard& shard);
  uint32_t take_slot();
  void free_slot(Inode* inode);
  void add_child(uint64_t parent);
  // Takes back lookups and children; frees the inode if nothing holds it any more, and so on with its parent.
  void release(uint64_t node, uint64_t lookups, uint32_t children);

  const OnForgotten on_forgotten_;
  std::array<Shard, kShards> shards_;
  std::unique_ptr<std::atomic<Inode*>[]> chunks_;
  std::mutex slots_mutex_;  // guards the three below
  uint32_t slots_used_ = 1;
  uint32_t free_first_ = 0;
  std::atomic<uint64_t> size_ = 0;
};

}  // namespace covault

#endif  // COVAULT_INODES_H_
