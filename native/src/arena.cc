#include "arena.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace covault {

namespace {

// How often the free space of the file system is asked for, and what must stay free for those who write to it: an epoch
// is worth less than their writes.
constexpr uint64_t kLookBytes = 4 * 1024 * 1024;
constexpr uint64_t kFreeBytesMin = 16 * 1024 * 1024;

constexpr size_t kCopyBytes = 256 * 1024;

uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

int write_all(int fd, const char* bytes, size_t length, uint64_t offset) {
  while (length > 0) {
    const ssize_t count = pwrite(fd, bytes, length, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count < 0 ? errno : EIO;
    bytes += count;
    length -= static_cast<size_t>(count);
    offset += static_cast<uint64_t>(count);
  }
  return 0;
}

}  // namespace

std::unique_ptr<Arena> Arena::make(int directory_fd, const std::string& spare_directory, std::shared_ptr<Space> space,
                                   int* error) {
  FileDescriptor file(openat(directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  const bool same = file.is_open();
  if (!same) {
    *error = errno;
    if (!spare_directory.empty()) {
      file = FileDescriptor(::open(spare_directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    }
  }
  if (!file.is_open()) return nullptr;
  return std::unique_ptr<Arena>(new Arena(std::move(file), same, std::move(space)));
}

Arena::Arena(FileDescriptor file, bool same_file_system, std::shared_ptr<Space> space)
    : file_(std::move(file)), space_(std::move(space)), shares_(same_file_system ? Shares::kUnknown : Shares::kNo) {}

Arena::~Arena() { space_->give(charged_.load()); }

int Arena::charge(uint64_t bytes) {
  if (!space_->take(bytes)) return EDQUOT;
  const uint64_t charged = charged_.fetch_add(bytes) + bytes;
  if (charged < looked_at_.load(std::memory_order_relaxed) + kLookBytes) return 0;
  looked_at_.store(charged, std::memory_order_relaxed);
  struct statvfs status;
  if (fstatvfs(file_.get(), &status) != 0) return errno;
  const uint64_t free = static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
  const uint64_t whole = static_cast<uint64_t>(status.f_blocks) * status.f_frsize;
  return free < std::min(kFreeBytesMin, whole / 20) + bytes ? ENOSPC : 0;
}

uint64_t Arena::place_for(uint64_t bytes) { return next_.fetch_add(round_up(bytes, kUnit)); }

int Arena::keep(int source, uint64_t start, uint64_t end, std::vector<Extents::Piece>* pieces) {
  if (shares_.load(std::memory_order_relaxed) != Shares::kNo) {
    const int error = share(source, start, end, pieces);
    if (error == EOPNOTSUPP) shares_.store(Shares::kNo, std::memory_order_relaxed);
    // Some files cannot share blocks where others can, and one may be growing just now.
    if (error != EOPNOTSUPP && error != EINVAL) return error;
  }
  return copy(source, start, end, pieces);
}

int Arena::share(int source, uint64_t start, uint64_t end, std::vector<Extents::Piece>* pieces) {
  struct stat status;
  if (fstat(source, &status) != 0) return errno;
  const uint64_t size = static_cast<uint64_t>(status.st_size);
  if (start >= size) return 0;
  // Whole blocks, or to the end of the file: more than is asked for does no harm.
  const uint64_t until = std::min(round_up(end, kUnit), size);
  if (const int error = charge(until - start)) return error;
  const uint64_t place = place_for(until - start);
  struct file_clone_range range = {};
  range.src_fd = source;
  range.src_offset = start;
  range.src_length = until - start;
  range.dest_offset = place;
  if (ioctl(file_.get(), FICLONERANGE, &range) != 0) {
    const int error = errno;
    charged_.fetch_sub(until - start);
    space_->give(until - start);
    const bool cannot = error == EOPNOTSUPP || error == ENOTTY || error == EXDEV || error == ENOSYS;
    return cannot ? EOPNOTSUPP : error;
  }
  shares_.store(Shares::kYes, std::memory_order_relaxed);
  pieces->push_back({start, std::min(end, size), place});
  return 0;
}

int Arena::copy(int source, uint64_t start, uint64_t end, std::vector<Extents::Piece>* pieces) {
  if (end - start <= kCopyBytes) return copy_data(source, start, end, pieces);
  for (uint64_t at = start; at < end;) {
    DataRange data;
    const int error = next_data_range(source, at, &data);
    if (error == ENXIO) data = {.start = end, .end = end};
    if (error != 0 && error != ENXIO) return error;
    // In whole units, so that what is kept begins where units begin.
    const uint64_t from = std::min(end, std::max(at, data.start / kUnit * kUnit));
    const uint64_t to = std::min(end, round_up(data.end, kUnit));
    if (at < from) pieces->push_back({at, from, Extents::kHole});
    if (from < to) {
      if (const int failure = copy_data(source, from, to, pieces)) return failure;
    }
    at = std::max(to, from);
  }
  return 0;
}

int Arena::copy_data(int source, uint64_t start, uint64_t end, std::vector<Extents::Piece>* pieces) {
  thread_local std::unique_ptr<char[]> buffer(new char[kCopyBytes]);
  if (const int error = charge(end - start)) return error;
  const uint64_t place = place_for(end - start);
  uint64_t done = 0;
  while (start + done < end) {
    const size_t wanted = std::min<uint64_t>(kCopyBytes, end - start - done);
    const ssize_t count = pread(source, buffer.get(), wanted, static_cast<off_t>(start + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (count == 0) break;
    if (const int error = write_all(file_.get(), buffer.get(), static_cast<size_t>(count), place + done)) return error;
    done += static_cast<uint64_t>(count);
  }
  if (done > 0) pieces->push_back({start, start + done, place});
  return 0;
}

ssize_t Arena::read(uint64_t place, void* into, size_t length) const {
  return pread(file_.get(), into, length, static_cast<off_t>(place));
}

}  // namespace covault
