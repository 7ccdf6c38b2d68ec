// Where old content is kept for open epochs: one file without a name on the data directory's file system, that only
// grows and goes with its descriptor, so that a process that dies leaves nothing behind.
#ifndef COVAULT_ARENA_H_
#define COVAULT_ARENA_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "epoch_extents.h"
#include "posix.h"

namespace covault {

// Bytes that all arenas of a data directory may take together.
class Space {
 public:
  explicit Space(uint64_t bytes_max) : max_(bytes_max) {}
  bool take(uint64_t bytes) {
    if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= max_) return true;
    give(bytes);
    return false;
  }
  void give(uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t max() const { return max_; }

 private:
  const uint64_t max_;
  std::atomic<uint64_t> used_ = 0;
};

class Arena {
 public:
  // Unit of copying, bytes; ranges begin at multiples of it.
  static constexpr uint64_t kUnit = 64 * 1024;
  // Unit of sharing blocks where the file system can: a larger one is as cheap and asked for less often.
  static constexpr uint64_t kSharedUnit = 4 * 1024 * 1024;

  // The file is made in `directory_fd`, or in `spare_directory` if that is not possible there. Null: `*error` is an
  // errno.
  static std::unique_ptr<Arena> make(int directory_fd, const std::string& spare_directory, std::shared_ptr<Space> space,
                                     int* error);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Keeps the bytes from `start` (a multiple of kUnit) to `end` of the file `source`, which can be read. Adds where
  // they are to `pieces`; what the file has not is left out. Returns an errno: EDQUOT if the space is used up, ENOSPC
  // if the file system is (nearly) full. Any thread.
  int keep(int source, uint64_t start, uint64_t end, std::vector<Extents::Piece>* pieces);

  // As pread(2), from a place.
  ssize_t read(uint64_t place, void* into, size_t length) const;

  uint64_t unit() const { return shares_blocks() ? kSharedUnit : kUnit; }
  uint64_t bytes() const { return charged_.load(std::memory_order_relaxed); }
  bool shares_blocks() const { return shares_.load(std::memory_order_relaxed) == Shares::kYes; }

 private:
  enum class Shares : uint8_t { kUnknown, kYes, kNo };

  Arena(FileDescriptor file, bool same_file_system, std::shared_ptr<Space> space);

  int charge(uint64_t bytes);
  uint64_t place_for(uint64_t bytes);
  // Shares the blocks of a range; EOPNOTSUPP if that is not possible here, EINVAL if not
  // with this file.
  int share(int source, uint64_t start, uint64_t end, std::vector<Extents::Piece>* pieces);
  int copy(int source, uint64_t start, uint64_t end, std::vector<Extents::Piece>* pieces);
  int copy_data(int source, uint64_t start, uint64_t end, std::vector<Extents::Piece>* pieces);

  const FileDescriptor file_;
  const std::shared_ptr<Space> space_;
  std::atomic<uint64_t> next_ = 0;
  std::atomic<uint64_t> charged_ = 0;
  std::atomic<uint64_t> looked_at_ = 0;  // bytes charged when the free space was last asked for
  std::atomic<Shares> shares_;
};

}  // namespace covault

#endif  // COVAULT_ARENA_H_
