#include "epoch_reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <set>
#include <thread>

namespace covault {

namespace {

// Attempts where changes go on while something is read; each of them needs a first change of the very thing that is
// read, of which there are few.
constexpr int kAttemptsMax = 64;

FileDescriptor duplicate(int fd) { return FileDescriptor(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

int live_names(int directory_fd, std::set<std::string>* names) {
  const int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // A directory that was removed since has nothing in it.
  if (fd < 0) return errno == ENOENT ? 0 : errno;
  DIR* stream = fdopendir(fd);
  if (stream == nullptr) {
    const int error = errno;
    close(fd);
    return error;
  }
  errno = 0;
  while (const struct dirent* entry = readdir(stream)) {
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") names->emplace(name);
    errno = 0;
  }
  const int error = errno;
  closedir(stream);
  return error;
}

}  // namespace

int EpochReader::find(std::string_view path, Node* node) const {
  struct stat status;
  node->fd = FileDescriptor(openat(epochs_->directory_fd(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!node->fd.is_open() || fstat(node->fd.get(), &status) != 0) return errno;
  node->inode = status.st_ino;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string name(path.substr(0, slash));
    if (name.empty() || name == "." || name == ".." || name.find('\0') != std::string::npos) return EINVAL;
    Node next;
    if (const int error = step(*node, name, &next)) return error;
    *node = std::move(next);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return 0;
}

int EpochReader::changed_name(uint64_t directory, const std::string& name, std::optional<uint64_t>* inode) const {
  const auto layers = epochs_->layers(epoch_);
  if (layers.empty()) return ECANCELED;
  for (const auto& layer : layers) {
    const auto record = layer->find(directory);
    if (record == nullptr) continue;
    const std::lock_guard lock(record->mutex);
    const auto found = record->names.find(name);
    if (found != record->names.end()) {
      *inode = found->second;
      return 0;
    }
    if (!record->whole) continue;
    *inode = 0;
    return 0;
  }
  return 0;
}

int EpochReader::step(const Node& directory, const std::string& name, Node* node) const {
  for (int attempt = 0; attempt < kAttemptsMax; attempt++) {
    std::optional<uint64_t> changed;
    if (const int error = changed_name(directory.inode, name, &changed)) return error;
    if (changed) return *changed == 0 ? ENOENT : open_inode(*changed, node);
    if (!directory.fd.is_open()) return ENOENT;
    FileDescriptor fd(openat(directory.fd.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    const int error = fd.is_open() ? 0 : errno;
    if (const int failure = changed_name(directory.inode, name, &changed)) return failure;
    if (changed) continue;
    if (error != 0) return error;
    struct stat status;
    if (fstat(fd.get(), &status) != 0) return errno;
    *node = {.inode = status.st_ino, .fd = std::move(fd)};
    return status.st_dev == epochs_->device() ? 0 : EXDEV;
  }
  return EBUSY;
}

int EpochReader::open_inode(uint64_t inode, Node* node) const {
  node->inode = inode;
  node->fd.reset();
  for (int attempt = 0; attempt < kAttemptsMax; attempt++) {
    const auto layers = epochs_->layers(epoch_);
    if (layers.empty()) return ECANCELED;
    for (const auto& layer : layers) {
      const auto record = layer->find(inode);
      if (record == nullptr) continue;
      const std::lock_guard lock(record->mutex);
      if (record->whole) return 0;
      if (record->kept.is_open()) {
        node->fd = duplicate(record->kept.get());
        return node->fd.is_open() ? 0 : errno;
      }
      if (!record->handle.is_known()) continue;
      node->fd = FileDescriptor(record->handle.open(epochs_->directory_fd(), O_PATH | O_CLOEXEC));
      if (node->fd.is_open()) return 0;
      // Its last name went meanwhile: then a newer layer has it, or will in a moment.
      if (errno != ESTALE) return errno;
    }
    // It is about to be kept: whoever removes it is in the middle of that.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return ESTALE;
}

int EpochReader::attributes(const Node& node, EpochAttributes* attributes) const {
  const auto saved = [&]() -> int {
    const auto layers = epochs_->layers(epoch_);
    if (layers.empty()) return ECANCELED;
    for (const auto& layer : layers) {
      const auto record = layer->find(node.inode);
      if (record == nullptr) continue;
      *attributes = record->attributes;
      return 0;
    }
    return ENOENT;
  };
  if (const int result = saved(); result != ENOENT) return result;
  if (!node.fd.is_open()) return ESTALE;
  const int error = read_attributes(node.fd.get(), attributes);
  if (const int result = saved(); result != ENOENT) return result;
  return error;
}

int EpochReader::names(const Node& directory, std::vector<std::string>* names) const {
  std::set<std::string> present;
  if (directory.fd.is_open()) {
    if (const int error = live_names(directory.fd.get(), &present)) return error;
  }
  const auto layers = epochs_->layers(epoch_);
  if (layers.empty()) return ECANCELED;
  // A layer that has all of a directory stands for it alone with those before it.
  size_t count = layers.size();
  for (size_t i = 0; i < layers.size(); i++) {
    const auto record = layers[i]->find(directory.inode);
    if (record == nullptr) continue;
    const std::lock_guard lock(record->mutex);
    if (!record->whole) continue;
    present.clear();
    count = i + 1;
    break;
  }
  for (size_t i = count; i-- > 0;) {
    const auto record = layers[i]->find(directory.inode);
    if (record == nullptr) continue;
    const std::lock_guard lock(record->mutex);
    for (const auto& [name, inode] : record->names) {
      if (inode == 0) {
        present.erase(name);
      } else {
        present.insert(name);
      }
    }
  }
  names->assign(present.begin(), present.end());
  return 0;
}

int EpochFile::open(const EpochReader& reader, std::shared_ptr<Epochs> epochs, std::string_view path, uint64_t inode,
                    std::unique_ptr<EpochFile>* file) {
  EpochReader::Node node;
  if (const int error = reader.find(path, &node)) return error;
  EpochAttributes attributes;
  if (const int error = reader.attributes(node, &attributes)) return error;
  if (node.inode != inode || !S_ISREG(attributes.mode)) return ESTALE;
  FileDescriptor fd;
  if (node.fd.is_open()) {
    const std::string through = "/proc/self/fd/" + std::to_string(node.fd.get());
    constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_CLOEXEC;
    fd = FileDescriptor(::open(through.c_str(), kFlags | O_NOATIME));
    if (!fd.is_open() && errno == EPERM) fd = FileDescriptor(::open(through.c_str(), kFlags));
    if (!fd.is_open()) return errno;
  }
  file->reset(new EpochFile(std::move(epochs), reader.epoch(), std::move(attributes), std::move(fd)));
  return 0;
}

int EpochFile::locate(uint64_t offset, Place* place) const {
  const auto layers = epochs_->layers(epoch_);
  if (layers.empty()) return ECANCELED;
  *place = {};
  uint64_t end = attributes_.size;
  for (const auto& layer : layers) {
    const auto record = layer->find(attributes_.inode);
    if (record == nullptr) continue;
    const std::lock_guard lock(record->mutex);
    const Extents::Piece* piece = record->content.from(offset);
    if (piece != nullptr && piece->start <= offset) {
      const uint64_t skip = offset - piece->start;
      place->layer = layer;
      place->piece = {offset, std::min(end, piece->end),
                      piece->place == Extents::kHole ? Extents::kHole : piece->place + skip};
      return 0;
    }
    if (piece != nullptr) end = std::min(end, piece->start);
    if (record->whole) place->whole = true;
    if (record->whole) break;
  }
  place->piece = {offset, end, 0};
  return 0;
}

ssize_t EpochFile::read(void* into, size_t length, uint64_t offset) const {
  if (offset >= attributes_.size || length == 0) return 0;
  for (int attempt = 0; attempt < kAttemptsMax; attempt++) {
    Place place;
    if ((errno = locate(offset, &place)) != 0) return -1;
    const size_t wanted = std::min<uint64_t>(length, place.piece.end - offset);
    if (place.layer != nullptr) {
      if (place.piece.place != Extents::kHole) return place.layer->arena().read(place.piece.place, into, wanted);
      std::memset(into, 0, wanted);
      return static_cast<ssize_t>(wanted);
    }
    if (place.whole || !fd_.is_open()) break;
    const ssize_t count = pread(fd_.get(), into, wanted, static_cast<off_t>(offset));
    const int error = errno;
    Place after;
    if ((errno = locate(offset, &after)) != 0) return -1;
    const bool unchanged = after.layer == nullptr && !after.whole &&
                           after.piece.end >= offset + static_cast<uint64_t>(std::max<ssize_t>(count, 1));
    errno = error;
    if (unchanged) return count;
  }
  errno = EIO;
  return -1;
}

int EpochFile::next_data(uint64_t offset, DataRange* range) const {
  for (int attempt = 0; offset < attributes_.size;) {
    Place place;
    if (const int error = locate(offset, &place)) return error;
    const uint64_t end = place.piece.end;
    if (place.layer != nullptr && place.piece.place != Extents::kHole) {
      *range = {.start = offset, .end = end};
      return 0;
    }
    if (place.layer == nullptr && fd_.is_open() && !place.whole) {
      const int error = next_data_range(fd_.get(), offset, range);
      if (error != 0 && error != ENXIO) return error;
      Place after;
      if (const int failure = locate(offset, &after)) return failure;
      const bool unchanged = after.layer == nullptr && !after.whole && after.piece.end == end;
      if (!unchanged && attempt++ < kAttemptsMax) continue;
      if (error == 0 && range->start < end) {
        range->end = std::min(range->end, end);
        return 0;
      }
    }
    offset = end;
  }
  return ENXIO;
}

}  // namespace covault
