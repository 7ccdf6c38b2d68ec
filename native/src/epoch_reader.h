// Reading a data directory as it was at a cut, whatever has become of it since: names, attributes, contents. Any thread
// but those of the transport.
//
// Everything is looked for in the layers first and in what is live next; then the layers are asked once more. A change
// preserves before it happens, so what was read live was not changed yet if nothing is preserved after the reading.
#ifndef COVAULT_EPOCH_READER_H_
#define COVAULT_EPOCH_READER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "epochs.h"

namespace covault {

// Functions return an errno; ECANCELED if the epoch is not open any more or has failed.
class EpochReader {
 public:
  EpochReader(std::shared_ptr<Epochs> epochs, uint64_t epoch) : epochs_(std::move(epochs)), epoch_(epoch) {}

  // An inode of the cut and, if it is not preserved as a whole, a descriptor (O_PATH).
  struct Node {
    uint64_t inode = 0;
    FileDescriptor fd;
  };

  // `path`: relative to the data directory, as it was at the cut; empty for the data directory itself.
  int find(std::string_view path, Node* node) const;
  // ENOENT: there was no such name. EXDEV: another file system is mounted there; `node` is its root.
  int step(const Node& directory, const std::string& name, Node* node) const;
  int attributes(const Node& node, EpochAttributes* attributes) const;
  // All names, in ascending order of their bytes.
  int names(const Node& directory, std::vector<std::string>* names) const;

  uint64_t epoch() const { return epoch_; }
  const Epochs& epochs() const { return *epochs_; }

 private:
  int open_inode(uint64_t inode, Node* node) const;
  // What the name led to, if that changed since; 0 = nothing.
  int changed_name(uint64_t directory, const std::string& name, std::optional<uint64_t>* inode) const;

  const std::shared_ptr<Epochs> epochs_;
  const uint64_t epoch_;
};

// A regular file as it was at a cut.
class EpochFile {
 public:
  // ESTALE: the path led to another inode, or to no regular file.
  static int open(const EpochReader& reader, std::shared_ptr<Epochs> epochs, std::string_view path, uint64_t inode,
                  std::unique_ptr<EpochFile>* file);

  const EpochAttributes& attributes() const { return attributes_; }
  // Up to `length` bytes; 0 at the end. -1: errno.
  ssize_t read(void* into, size_t length, uint64_t offset) const;
  // As next_data_range: ENXIO if nothing but holes follows.
  int next_data(uint64_t offset, DataRange* range) const;

 private:
  EpochFile(std::shared_ptr<Epochs> epochs, uint64_t epoch, EpochAttributes attributes, FileDescriptor fd)
      : epochs_(std::move(epochs)), epoch_(epoch), attributes_(std::move(attributes)), fd_(std::move(fd)) {}

  struct Place {
    std::shared_ptr<EpochLayer> layer;  // null: live, if anywhere
    Extents::Piece piece;               // the part from the offset asked for, as far as it is in one place
    bool whole = false;                 // nothing is live
  };
  int locate(uint64_t offset, Place* place) const;

  const std::shared_ptr<Epochs> epochs_;
  const uint64_t epoch_;
  const EpochAttributes attributes_;
  const FileDescriptor fd_;  // for reading; closed if the file is whole
};

}  // namespace covault

#endif  // COVAULT_EPOCH_READER_H_
