#include "epoch_layer.h"

#include <limits.h>
#include <unistd.h>

#include <cerrno>

namespace covault {

namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

int64_t ns_of(const timespec& time) { return int64_t{time.tv_sec} * kNsPerSecond + time.tv_nsec; }

}  // namespace

int read_attributes(int fd, EpochAttributes* attributes) {
  struct stat status;
  if (fstat(fd, &status) != 0) return errno;
  *attributes = {.inode = status.st_ino,
                 .mode = status.st_mode,
                 .uid = status.st_uid,
                 .gid = status.st_gid,
                 .nlink = status.st_nlink,
                 .size = static_cast<uint64_t>(status.st_size),
                 .mtime_ns = ns_of(status.st_mtim),
                 .ctime_ns = ns_of(status.st_ctim),
                 .rdev = status.st_rdev,
                 .foreign = false,
                 .target = {},
                 .xattrs = {}};
  if (S_ISLNK(status.st_mode)) {
    char target[PATH_MAX];
    const ssize_t count = readlinkat(fd, "", target, sizeof target);
    if (count < 0) return errno;
    attributes->target.assign(target, static_cast<size_t>(count));
  }
  const int error = list_xattrs(NodeReference::of_descriptor(fd), &attributes->xattrs);
  // What this user may not read cannot be copied either.
  return error == EACCES || error == EPERM ? 0 : error;
}

EpochLayer::EpochLayer(uint64_t epoch, std::unique_ptr<Arena> arena, std::shared_ptr<RecordBudget> budget)
    : epoch_(epoch), arena_(std::move(arena)), budget_(std::move(budget)) {}

EpochLayer::~EpochLayer() { budget_->space.give(charged_.load()); }

bool EpochLayer::charge(uint64_t bytes) {
  if (!budget_->space.take(bytes)) return false;
  charged_.fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

std::shared_ptr<EpochRecord> EpochLayer::find(uint64_t inode) const {
  const Shard& shard = this->shard(inode);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.records.find(inode);
  return found == shard.records.end() ? nullptr : found->second;
}

std::shared_ptr<EpochRecord> EpochLayer::add(uint64_t inode, EpochAttributes attributes) {
  uint64_t bytes = RecordBudget::kRecordBytes + attributes.target.size();
  for (const XattrValue& xattr : attributes.xattrs) bytes += 64 + xattr.name.size() + xattr.value.size();
  if (!charge(bytes)) return nullptr;
  auto record = std::make_shared<EpochRecord>();
  record->attributes = std::move(attributes);
  Shard& shard = this->shard(inode);
  const std::lock_guard lock(shard.mutex);
  return shard.records.emplace(inode, std::move(record)).first->second;
}

bool EpochLayer::is_fresh(uint64_t inode) const {
  const Shard& shard = this->shard(inode);
  const std::lock_guard lock(shard.mutex);
  return shard.fresh.contains(inode);
}

bool EpochLayer::add_fresh(uint64_t inode) {
  Shard& shard = this->shard(inode);
  const std::lock_guard lock(shard.mutex);
  // The number of an inode that is gone may be used again; its record says that it is whole.
  if (shard.records.contains(inode) || !shard.fresh.insert(inode).second) return true;
  return charge(RecordBudget::kFreshBytes);
}

}  // namespace covault
