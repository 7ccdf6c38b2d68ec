// What an epoch keeps of that which is about to change.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "epochs.h"

namespace covault {

namespace {

// A file up to this size that goes away is copied: that is cheaper than a descriptor.
constexpr uint64_t kSmallBytes = 64 * 1024;

FileDescriptor open_path(int directory_fd, std::string_view name) {
  return FileDescriptor(openat(directory_fd, name.data(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

// A descriptor to read from: `fd` itself if it serves, else a new one in `own`. -1: errno.
int readable(int fd, FileDescriptor* own) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return -1;
  if ((flags & O_PATH) == 0 && (flags & O_ACCMODE) != O_WRONLY) return fd;
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  *own = FileDescriptor(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  return own->get();
}

}  // namespace

std::shared_ptr<EpochRecord> Epochs::record(EpochLayer& layer, uint64_t inode, int fd) {
  if (auto known = layer.find(inode)) return known;
  if (layer.is_fresh(inode)) return nullptr;
  EpochAttributes attributes;
  if (const int error = read_attributes(fd, &attributes)) {
    fail(error, "attributes could not be kept");
    return nullptr;
  }
  // Without a name it is in no cut, unless an older one has it.
  if (attributes.nlink == 0) {
    const std::lock_guard lock(mutex_);
    if (layers_.size() == 1) return nullptr;
  }
  auto record = layer.add(inode, std::move(attributes));
  if (record == nullptr) fail(ENOMEM, "");
  return record;
}

void Epochs::changes_attributes(uint64_t inode, int fd) {
  if (const auto layer = newest()) record(*layer, inode, fd);
}

void Epochs::changes_content(uint64_t inode, int fd, uint64_t start, uint64_t end) {
  const auto layer = newest();
  if (layer == nullptr) return;
  const auto record = this->record(*layer, inode, fd);
  if (record == nullptr) return;
  int error = 0;
  {
    const std::lock_guard lock(record->mutex);
    if (record->whole) return;
    error = keep_content(*layer, *record, fd, start, end);
  }
  if (error != 0) fail(error, "content could not be kept");
}

// With the record's mutex.
int Epochs::keep_content(EpochLayer& layer, EpochRecord& record, int fd, uint64_t start, uint64_t end) {
  const uint64_t size = record.attributes.size;
  start = std::min(start, size);
  end = std::min(end, size);
  if (start >= end || record.content.gaps(start, end).empty()) return 0;
  const uint64_t unit = layer.arena().unit();
  start = start / unit * unit;
  end = std::min(size, end > UINT64_MAX - unit ? UINT64_MAX : (end + unit - 1) / unit * unit);
  FileDescriptor own;
  const int source = readable(fd, &own);
  // Who may write a file but not read it cannot have it in an index either.
  if (source < 0) return errno == EACCES ? 0 : errno;
  for (const auto& [from, to] : record.content.gaps(start, end)) {
    std::vector<Extents::Piece> pieces;
    if (const int error = layer.arena().keep(source, from, to, &pieces)) return error;
    for (const Extents::Piece& piece : pieces) record.content.add(piece);
  }
  return 0;
}

void Epochs::changes_name(uint64_t directory, int directory_fd, std::string_view name) {
  const auto layer = newest();
  if (layer == nullptr) return;
  const auto record = this->record(*layer, directory, directory_fd);
  if (record == nullptr) return;
  bool fits = true;
  int error = 0;
  {
    const std::lock_guard lock(record->mutex);
    if (record->whole || record->names.contains(std::string(name))) return;
    struct stat status;
    uint64_t inode = 0;
    if (fstatat(directory_fd, name.data(), &status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0) {
      if (status.st_dev == device_) inode = status.st_ino;
    } else if (errno != ENOENT && errno != ENAMETOOLONG) {
      error = errno;
    }
    fits = layer->charge(RecordBudget::kNameBytes + name.size());
    record->names.emplace(name, inode);
  }
  if (error != 0) fail(error, "a name could not be kept");
  if (!fits) fail(ENOMEM, "");
}

void Epochs::loses_name(const struct stat& status, int directory_fd, std::string_view name, bool dies) {
  const auto layer = newest();
  if (layer == nullptr || layer->is_fresh(status.st_ino)) return;
  FileDescriptor fd = open_path(directory_fd, name);
  if (!fd.is_open()) {
    if (errno != ENOENT) fail(errno, "a file that goes away could not be kept");
    return;
  }
  const auto record = this->record(*layer, status.st_ino, fd.get());
  if (record == nullptr) return;
  int error = 0;
  {
    const std::lock_guard lock(record->mutex);
    if (!record->whole && !record->kept.is_open()) error = keep_inode(*layer, *record, std::move(fd), dies);
  }
  if (error != 0) fail(error, "a file that goes away could not be kept");
}

// With the record's mutex: sees to it that the inode can be read though its name leads elsewhere.
int Epochs::keep_inode(EpochLayer& layer, EpochRecord& record, FileDescriptor fd, bool dies) {
  const uint32_t mode = record.attributes.mode;
  if (!dies && handles_) {
    if (!record.handle.is_known()) record.handle = FileHandle::of(fd.get(), "");
    if (record.handle.is_known()) return 0;
  }
  const bool is_directory = S_ISDIR(mode);
  // If it goes, it is empty, and what was in it is among its names (`directory_died`).
  if (is_directory && dies) return 0;
  // Attributes are all there is.
  if (!is_directory && !S_ISREG(mode)) {
    record.whole = true;
    return 0;
  }
  const bool is_small = !is_directory && record.attributes.size <= kSmallBytes;
  if (!is_small && kept_->fetch_add(1, std::memory_order_relaxed) < options_.kept_max) {
    record.kept = std::move(fd);
    record.kept_count = kept_;
    return 0;
  }
  if (!is_small) kept_->fetch_sub(1, std::memory_order_relaxed);
  if (is_directory) return EMFILE;
  if (const int error = keep_content(layer, record, fd.get(), 0, record.attributes.size)) return error;
  record.whole = true;
  return 0;
}

void Epochs::directory_died(uint64_t inode) {
  const auto layer = newest();
  const auto record = layer == nullptr ? nullptr : layer->find(inode);
  if (record == nullptr) return;
  const std::lock_guard lock(record->mutex);
  // What is kept open keeps its number, too.
  if (!record->kept.is_open()) record->whole = true;
}

void Epochs::created(uint64_t inode) {
  const auto layer = newest();
  if (layer == nullptr) return;
  if (const auto record = layer->find(inode)) {
    // Who had the number before is gone. What was without a name at the cut had none to lose, so nothing told until now.
    const std::lock_guard lock(record->mutex);
    if (record->attributes.nlink == 0) record->whole = true;
  } else if (!layer->add_fresh(inode)) {
    fail(ENOMEM, "");
  }
}

}  // namespace covault
