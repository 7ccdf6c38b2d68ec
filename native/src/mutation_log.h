// The mutation log: what the engine did to the data directory, in one total order, on its way to JavaScript.
//
// Promises:
//   order    records leave in the order in which they were accepted; a record may be folded into an earlier one of the
//            same inode only where no reader of present state can tell.
//   bounded  at most `chunks_max` chunks of `chunk_bytes` plus a set of `coarse_records_max` records.
//   no loss  a full log accepts coarser records instead ("this inode", "below this directory"), at last those of the
//            whole data directory; it never drops one.
//   no wait  a writer holds the mutex for a copy of one record; nothing under the mutex allocates without bound or
//            calls out.
//
// The engine reports a change after it took effect and before it answers the request, so that whoever reads a record
// and then the data directory sees at least that change.
//
// Lock order: `mutex_` is a leaf; the waker is called without it.
#ifndef COVAULT_MUTATION_LOG_H_
#define COVAULT_MUTATION_LOG_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace covault {

enum class MutationKind : uint8_t {
  kContent = 1,
  kTruncate = 2,
  kCreate = 3,
  kLink = 4,
  kUnlink = 5,
  kRename = 6,
  kAttributes = 7,
  kXattrs = 8,
  kInode = 9,
  kSubtree = 10,
  kCut = 11,
};

// Layout of a batch, little-endian. JavaScript reads these numbers from the addon, so that they stand only here.
// A batch is a header and `count` records one after the other; each record starts at a multiple of 8.
struct MutationLayout {
  // Batch header.
  static constexpr size_t kBatchSequence = 0;  // u64: sequence number of the last mutation covered by this batch
  static constexpr size_t kBatchCount = 8;     // u32: records
  static constexpr size_t kBatchHeaderBytes = 16;
  // Record header.
  static constexpr size_t kKind = 0;          // u8: MutationKind
  static constexpr size_t kFlags = 1;         // u8: kExchange
  static constexpr size_t kNameBytes = 2;     // u16
  static constexpr size_t kNewNameBytes = 4;  // u16
  static constexpr size_t kInode = 8;         // u64
  static constexpr size_t kRecordHeaderBytes = 16;
  // What follows the record header, by kind:
  //   content               u64 offset, u64 length
  //   truncate              u64 size
  //   create, link, unlink  u64 parent, name
  //   rename                u64 parent, u64 new parent, name, new name
  //   all others            nothing; the inode of a cut is the number it was given
  static constexpr size_t kFirst = 16;   // u64: offset, size or parent
  static constexpr size_t kSecond = 24;  // u64: length or new parent
  static constexpr size_t kNameAfterFirst = 24;
  static constexpr size_t kNameAfterSecond = 32;
  static constexpr size_t kAlignment = 8;
  static constexpr uint8_t kExchange = 1;
};

struct MutationLogOptions {
  uint64_t root_inode = 0;           // inode number of the data directory: the coarsest record names it
  size_t chunk_bytes = 64 * 1024;    // largest batch
  size_t chunks_max = 128;           // full batches that may wait for JavaScript
  size_t coarse_records_max = 2048;  // coarse records kept when these are full
};

struct MutationLogStatistics {
  uint64_t accepted = 0;   // mutations reported by the engine
  uint64_t folded = 0;     // of these, joined with an earlier record
  uint64_t coarsened = 0;  // of these, kept as a coarser record
  uint64_t overflows = 0;  // times the log became full
  uint64_t batches = 0;    // batches taken
  uint64_t wakeups = 0;    // times JavaScript was woken
  uint64_t bytes_waiting = 0;
};

class MutationLog {
 public:
  explicit MutationLog(const MutationLogOptions& options);
  MutationLog(const MutationLog&) = delete;
  MutationLog& operator=(const MutationLog&) = delete;

  // Reports of the engine; any thread. Inode numbers are those of the data directory's file system.
  void content(uint64_t inode, uint64_t offset, uint64_t length);
  void truncate(uint64_t inode, uint64_t size);
  void create(uint64_t inode, uint64_t parent, std::string_view name);
  void link(uint64_t inode, uint64_t parent, std::string_view name);
  void unlink(uint64_t inode, uint64_t parent, std::string_view name);
  void rename(uint64_t inode, uint64_t parent, std::string_view name, uint64_t new_parent, std::string_view new_name,
              bool exchange);
  void attributes(uint64_t inode);
  void xattrs(uint64_t inode);
  void inode(uint64_t inode);
  void subtree(uint64_t inode);
  // A moment in the order: everything reported before is in records before this one, everything after in later ones.
  void cut(uint64_t number);

  // Sequence number of the last accepted mutation: everything reported before this call has one at most as high.
  uint64_t mark() const;

  // `waker` is called, from the reporting thread and without a lock held, when a record arrives and the log is armed;
  // that disarms it. It must not block. Set it before the first report; an empty function takes it away, and once
  // `set_waker` has returned the former waker is not running any more.
  void set_waker(std::function<void()> waker);

  // Moves the oldest batch into `batch` (replacing what it held) and returns true; or arms the log and returns false
  // if nothing is waiting. One consumer.
  bool take(std::vector<uint8_t>* batch);

  MutationLogStatistics statistics() const;

 private:
  struct Chunk {
    std::vector<uint8_t> bytes;
    uint32_t count = 0;
    uint64_t last_sequence = 0;
  };
  struct Record {
    MutationKind kind;
    uint64_t inode;
    uint64_t first = 0;
    uint64_t second = 0;
    std::string_view name = {};
    std::string_view new_name = {};
    bool exchange = false;
  };
  // A content record of the newest chunk into which a later range of the same inode may be folded.
  struct OpenRange {
    uint64_t inode = 0;
    size_t position = 0;  // of the record in the chunk; 0 = unused (the header stands there)
  };
  static constexpr size_t kOpenRanges = 16;

  void report(const Record& record);
  void wake();
  bool fold_locked(const Record& record);
  bool append_locked(const Record& record, size_t chunks_max);
  void append_cut_locked(const Record& record);
  void append_coarse_locked(const Record& record);
  void add_coarse_locked(MutationKind kind, uint64_t inode);
  Chunk coarse_chunk_locked();
  void settle_open_ranges_locked(const Record& record, size_t position);
  void close_ranges_locked();
  void new_chunk_locked();

  const MutationLogOptions options_;
  mutable std::mutex mutex_;
  std::deque<Chunk> chunks_;  // oldest first; the last one is being filled
  std::array<OpenRange, kOpenRanges> open_ranges_ = {};
  size_t open_range_next_ = 0;
  size_t last_position_ = 0;  // of the newest record in the newest chunk; 0 = none
  // Records accepted while all chunks were full; they follow all chunks. Not empty, or everything_ = the log is full.
  std::set<std::pair<MutationKind, uint64_t>> coarse_;
  bool everything_ = false;
  uint64_t sequence_ = 0;
  bool armed_ = true;
  MutationLogStatistics statistics_;

  std::mutex waker_mutex_;  // held while the waker runs; taken without mutex_
  std::function<void()> waker_;
};

}  // namespace covault

#endif  // COVAULT_MUTATION_LOG_H_
