// System calls that Node.js does not offer, with results as an errno (0 = done). Thread-safe; no state.
#ifndef COVAULT_POSIX_H_
#define COVAULT_POSIX_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace covault {

// A descriptor that is closed when its owner goes away.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() { reset(); }

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

// What a call is about: a path whose last component is not followed, or whatever a descriptor (O_PATH too) stands for.
struct NodeReference {
  std::string path;
  bool follow = false;

  static NodeReference of_path(std::string path) { return {.path = std::move(path), .follow = false}; }
  static NodeReference of_descriptor(int fd);
};

struct XattrValue {
  std::string name;
  std::string value;
};

// All extended attributes; none where the file system has none.
int list_xattrs(const NodeReference& node, std::vector<XattrValue>* xattrs);
int write_xattr(const NodeReference& node, const std::string& name, const std::string& value);
int remove_xattr(const NodeReference& node, const std::string& name);

// Nanoseconds since 1970, or nothing to leave a time as it is.
int set_times(const NodeReference& node, std::optional<int64_t> atime_ns, std::optional<int64_t> mtime_ns);

struct DataRange {
  uint64_t start = 0;
  uint64_t end = 0;
};

// The first range with data at or after `offset`; ENXIO if there is none. A file system that does not know holes has
// one range. Moves the file's position.
int next_data_range(int fd, uint64_t offset, DataRange* range);

// Lets the disk serve the calling thread only when nobody else needs it (where its scheduler knows priorities). 0 or an
// error; `idle` says what the kernel has noted down.
int set_idle_io(bool* idle);

// Opens what `path` names beneath `directory_fd`: relative, without "." and "..", of any length, empty for the
// directory itself. Follows no symlink, enters no other file system, creates nothing and never waits for the other end
// of a FIFO. Sets O_CLOEXEC always and O_NOATIME where that is permitted.
int open_beneath(int directory_fd, const std::string& path, int flags, FileDescriptor* opened);

// Ends the process with `status` after so long, unless it has ended before: exit(3) waits for threads, and a thread that
// waits for a disk that hangs does not come back.
void end_process_after(int status, int milliseconds);

}  // namespace covault

#endif  // COVAULT_POSIX_H_
