#include "mutation_log.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace covault {

static_assert(std::endian::native == std::endian::little, "batches are written in the machine's byte order");

namespace {

using Layout = MutationLayout;

constexpr size_t kNameBytesMax = 0xffff;

void put(std::vector<uint8_t>& bytes, size_t position, const void* value, size_t length) {
  std::memcpy(bytes.data() + position, value, length);
}

uint64_t get64(const std::vector<uint8_t>& bytes, size_t position) {
  uint64_t value;
  std::memcpy(&value, bytes.data() + position, sizeof value);
  return value;
}

size_t body_bytes(MutationKind kind) {
  switch (kind) {
    case MutationKind::kContent:
    case MutationKind::kRename:
      return 16;
    case MutationKind::kTruncate:
    case MutationKind::kCreate:
    case MutationKind::kLink:
    case MutationKind::kUnlink:
      return 8;
    default:
      return 0;
  }
}

bool changes_names(MutationKind kind) {
  return kind == MutationKind::kCreate || kind == MutationKind::kLink || kind == MutationKind::kUnlink ||
         kind == MutationKind::kRename || kind == MutationKind::kSubtree;
}

uint64_t end_of(uint64_t offset, uint64_t length) {
  return length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
}

}  // namespace

MutationLog::MutationLog(const MutationLogOptions& options) : options_(options) {}

void MutationLog::content(uint64_t inode, uint64_t offset, uint64_t length) {
  if (length > 0) report({.kind = MutationKind::kContent, .inode = inode, .first = offset, .second = length});
}

void MutationLog::truncate(uint64_t inode, uint64_t size) {
  report({.kind = MutationKind::kTruncate, .inode = inode, .first = size});
}

void MutationLog::create(uint64_t inode, uint64_t parent, std::string_view name) {
  report({.kind = MutationKind::kCreate, .inode = inode, .first = parent, .name = name});
}

void MutationLog::link(uint64_t inode, uint64_t parent, std::string_view name) {
  report({.kind = MutationKind::kLink, .inode = inode, .first = parent, .name = name});
}

void MutationLog::unlink(uint64_t inode, uint64_t parent, std::string_view name) {
  report({.kind = MutationKind::kUnlink, .inode = inode, .first = parent, .name = name});
}

void MutationLog::rename(uint64_t inode, uint64_t parent, std::string_view name, uint64_t new_parent,
                         std::string_view new_name, bool exchange) {
  report({.kind = MutationKind::kRename,
          .inode = inode,
          .first = parent,
          .second = new_parent,
          .name = name,
          .new_name = new_name,
          .exchange = exchange});
}

void MutationLog::attributes(uint64_t inode) { report({.kind = MutationKind::kAttributes, .inode = inode}); }

void MutationLog::xattrs(uint64_t inode) { report({.kind = MutationKind::kXattrs, .inode = inode}); }

void MutationLog::inode(uint64_t inode) { report({.kind = MutationKind::kInode, .inode = inode}); }

void MutationLog::subtree(uint64_t inode) { report({.kind = MutationKind::kSubtree, .inode = inode}); }

void MutationLog::cut(uint64_t number) { report({.kind = MutationKind::kCut, .inode = number}); }

uint64_t MutationLog::mark() const {
  std::lock_guard lock(mutex_);
  return sequence_;
}

void MutationLog::set_waker(std::function<void()> waker) {
  std::lock_guard lock(waker_mutex_);
  waker_ = std::move(waker);
}

bool MutationLog::take(std::vector<uint8_t>* batch) {
  Chunk chunk;
  {
    std::lock_guard lock(mutex_);
    if (!chunks_.empty()) {
      if (chunks_.size() == 1) close_ranges_locked();
      chunk = std::move(chunks_.front());
      chunks_.pop_front();
      statistics_.bytes_waiting -= chunk.bytes.size() - Layout::kBatchHeaderBytes;
    } else if (everything_ || !coarse_.empty()) {
      chunk = coarse_chunk_locked();
    } else {
      armed_ = true;
      return false;
    }
    statistics_.batches += 1;
  }
  put(chunk.bytes, Layout::kBatchSequence, &chunk.last_sequence, sizeof chunk.last_sequence);
  put(chunk.bytes, Layout::kBatchCount, &chunk.count, sizeof chunk.count);
  *batch = std::move(chunk.bytes);
  return true;
}

MutationLogStatistics MutationLog::statistics() const {
  std::lock_guard lock(mutex_);
  return statistics_;
}

void MutationLog::report(const Record& record) {
  bool wake_needed;
  {
    std::lock_guard lock(mutex_);
    sequence_ += 1;
    statistics_.accepted += 1;
    const bool full = everything_ || !coarse_.empty();
    if (record.kind == MutationKind::kCut) {
      append_cut_locked(record);
    } else if (!full && fold_locked(record)) {
      statistics_.folded += 1;
    } else if (full || !append_locked(record, options_.chunks_max)) {
      if (!full) statistics_.overflows += 1;
      statistics_.coarsened += 1;
      append_coarse_locked(record);
    }
    wake_needed = armed_;
    armed_ = false;
    if (wake_needed) statistics_.wakeups += 1;
  }
  if (wake_needed) wake();
}

void MutationLog::wake() {
  std::lock_guard lock(waker_mutex_);
  if (waker_) waker_();
}

// Joins a content range with an open one that it touches, and drops a plain repetition of the newest record. A range
// moves only ahead of records about other inodes that do not change names: for a reader of present state the order of
// such records makes no difference.
bool MutationLog::fold_locked(const Record& record) {
  if (chunks_.empty()) return false;
  Chunk& chunk = chunks_.back();
  if (record.kind == MutationKind::kContent) {
    for (const OpenRange& open : open_ranges_) {
      if (open.position == 0 || open.inode != record.inode) continue;
      const uint64_t start = get64(chunk.bytes, open.position + Layout::kFirst);
      const uint64_t end = end_of(start, get64(chunk.bytes, open.position + Layout::kSecond));
      const uint64_t record_end = end_of(record.first, record.second);
      if (record.first > end || start > record_end) continue;
      const uint64_t joined_start = std::min(start, record.first);
      const uint64_t joined_length = std::max(end, record_end) - joined_start;
      put(chunk.bytes, open.position + Layout::kFirst, &joined_start, sizeof joined_start);
      put(chunk.bytes, open.position + Layout::kSecond, &joined_length, sizeof joined_length);
      chunk.last_sequence = sequence_;
      return true;
    }
    return false;
  }
  if (last_position_ == 0 || body_bytes(record.kind) != 0) return false;
  const bool repeats = chunk.bytes[last_position_ + Layout::kKind] == static_cast<uint8_t>(record.kind) &&
                       get64(chunk.bytes, last_position_ + Layout::kInode) == record.inode;
  if (repeats) chunk.last_sequence = sequence_;
  return repeats;
}

// False if the record needs a further chunk and there may be none.
bool MutationLog::append_locked(const Record& record, size_t chunks_max) {
  const size_t name_bytes = std::min(record.name.size(), kNameBytesMax);
  const size_t new_name_bytes = std::min(record.new_name.size(), kNameBytesMax);
  const size_t plain = Layout::kRecordHeaderBytes + body_bytes(record.kind) + name_bytes + new_name_bytes;
  const size_t total = (plain + Layout::kAlignment - 1) / Layout::kAlignment * Layout::kAlignment;
  if (total > options_.chunk_bytes - Layout::kBatchHeaderBytes) return false;
  if (chunks_.empty() || chunks_.back().bytes.size() + total > options_.chunk_bytes) {
    if (chunks_.size() >= chunks_max) return false;
    new_chunk_locked();
  }
  Chunk& chunk = chunks_.back();
  const size_t position = chunk.bytes.size();
  chunk.bytes.resize(position + total);
  const uint8_t kind = static_cast<uint8_t>(record.kind);
  const uint8_t flags = record.exchange ? Layout::kExchange : 0;
  const uint16_t name16 = static_cast<uint16_t>(name_bytes);
  const uint16_t new_name16 = static_cast<uint16_t>(new_name_bytes);
  put(chunk.bytes, position + Layout::kKind, &kind, sizeof kind);
  put(chunk.bytes, position + Layout::kFlags, &flags, sizeof flags);
  put(chunk.bytes, position + Layout::kNameBytes, &name16, sizeof name16);
  put(chunk.bytes, position + Layout::kNewNameBytes, &new_name16, sizeof new_name16);
  put(chunk.bytes, position + Layout::kInode, &record.inode, sizeof record.inode);
  const size_t body = body_bytes(record.kind);
  if (body >= 8) put(chunk.bytes, position + Layout::kFirst, &record.first, sizeof record.first);
  if (body >= 16) put(chunk.bytes, position + Layout::kSecond, &record.second, sizeof record.second);
  const size_t name_position = position + Layout::kRecordHeaderBytes + body;
  if (name_bytes > 0) put(chunk.bytes, name_position, record.name.data(), name_bytes);
  if (new_name_bytes > 0) put(chunk.bytes, name_position + name_bytes, record.new_name.data(), new_name_bytes);
  chunk.count += 1;
  chunk.last_sequence = sequence_;
  statistics_.bytes_waiting += total;
  last_position_ = position;
  settle_open_ranges_locked(record, position);
  return true;
}

void MutationLog::settle_open_ranges_locked(const Record& record, size_t position) {
  if (changes_names(record.kind)) {
    open_ranges_.fill({});
    return;
  }
  if (record.kind != MutationKind::kContent) {
    for (OpenRange& open : open_ranges_) {
      if (open.inode == record.inode) open = {};
    }
    return;
  }
  open_ranges_[open_range_next_] = {.inode = record.inode, .position = position};
  open_range_next_ = (open_range_next_ + 1) % kOpenRanges;
}

// What a full log keeps beside its chunks becomes a chunk of its own, so that the cut can stand behind it. There are
// few cuts, so the bound is passed by little.
void MutationLog::append_cut_locked(const Record& record) {
  if (everything_ || !coarse_.empty()) {
    Chunk chunk = coarse_chunk_locked();
    statistics_.bytes_waiting += chunk.bytes.size() - Layout::kBatchHeaderBytes;
    close_ranges_locked();
    chunks_.push_back(std::move(chunk));
  }
  append_locked(record, SIZE_MAX);
  close_ranges_locked();
}

void MutationLog::append_coarse_locked(const Record& record) {
  switch (record.kind) {
    case MutationKind::kCreate:
    case MutationKind::kLink:
    case MutationKind::kUnlink:
      add_coarse_locked(MutationKind::kInode, record.inode);
      add_coarse_locked(MutationKind::kSubtree, record.first);
      break;
    case MutationKind::kRename:
      add_coarse_locked(MutationKind::kInode, record.inode);
      add_coarse_locked(MutationKind::kSubtree, record.first);
      add_coarse_locked(MutationKind::kSubtree, record.second);
      break;
    case MutationKind::kSubtree:
      add_coarse_locked(MutationKind::kSubtree, record.inode);
      break;
    default:
      add_coarse_locked(MutationKind::kInode, record.inode);
  }
}

void MutationLog::add_coarse_locked(MutationKind kind, uint64_t inode) {
  if (everything_) return;
  if (kind == MutationKind::kSubtree && inode == options_.root_inode) everything_ = true;
  if (coarse_.size() >= options_.coarse_records_max) everything_ = true;
  if (everything_) {
    coarse_.clear();
    return;
  }
  coarse_.emplace(kind, inode);
}

MutationLog::Chunk MutationLog::coarse_chunk_locked() {
  std::set<std::pair<MutationKind, uint64_t>> records;
  records.swap(coarse_);
  // "Below" the root does not say the root itself.
  if (everything_) {
    records = {{MutationKind::kInode, options_.root_inode}, {MutationKind::kSubtree, options_.root_inode}};
  }
  everything_ = false;
  Chunk chunk;
  chunk.last_sequence = sequence_;
  chunk.bytes.resize(Layout::kBatchHeaderBytes + records.size() * Layout::kRecordHeaderBytes);
  size_t position = Layout::kBatchHeaderBytes;
  for (const auto& [kind, inode] : records) {
    const uint8_t kind8 = static_cast<uint8_t>(kind);
    put(chunk.bytes, position + Layout::kKind, &kind8, sizeof kind8);
    put(chunk.bytes, position + Layout::kInode, &inode, sizeof inode);
    position += Layout::kRecordHeaderBytes;
    chunk.count += 1;
  }
  return chunk;
}

void MutationLog::close_ranges_locked() {
  open_ranges_.fill({});
  last_position_ = 0;
}

void MutationLog::new_chunk_locked() {
  close_ranges_locked();
  Chunk& chunk = chunks_.emplace_back();
  chunk.bytes.reserve(options_.chunk_bytes);
  chunk.bytes.resize(Layout::kBatchHeaderBytes);
}

}  // namespace covault
