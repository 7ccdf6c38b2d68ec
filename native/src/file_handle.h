// File handles: the name of an inode that stays good when its names change, and that tells a file from another one that got
// its number later.
#ifndef COVAULT_FILE_HANDLE_H_
#define COVAULT_FILE_HANDLE_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace covault {

// What name_to_handle_at(2) gives, if it is short enough to be kept: ext4 has 8 bytes, XFS and tmpfs have 12, btrfs has
// 20. `bytes` = 0 means that there is none.
struct FileHandle {
  static constexpr size_t kBytesMax = 24;

  uint8_t type = 0;  // the file system's own number; those in use are all below 256
  uint8_t bytes = 0;
  std::array<std::byte, kBytesMax> data = {};

  bool is_known() const { return bytes > 0; }
  bool operator==(const FileHandle&) const = default;

  // Of `name` in the directory `fd`, not following links, or of `fd` itself if the name is empty. None if the file system has
  // none for it, or one that does not fit.
  static FileHandle of(int fd, const char* name);

  // A new descriptor with open(2)'s `flags`, found through any descriptor `mount_fd` on the same file system; needs
  // CAP_DAC_READ_SEARCH. -1: errno, ESTALE if there is no such inode any more.
  int open(int mount_fd, int flags) const;
};

}  // namespace covault

#endif  // COVAULT_FILE_HANDLE_H_
