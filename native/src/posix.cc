#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <chrono>
#include <string_view>
#include <thread>

namespace covault {

namespace {

// Attempts where another process may change what is being read between two calls.
constexpr int kAttemptsMax = 8;

constexpr int64_t kNsPerSecond = 1'000'000'000;

ssize_t call_list(const NodeReference& node, char* list, size_t size) {
  return node.follow ? listxattr(node.path.c_str(), list, size) : llistxattr(node.path.c_str(), list, size);
}

ssize_t call_get(const NodeReference& node, const char* name, void* value, size_t size) {
  return node.follow ? getxattr(node.path.c_str(), name, value, size) : lgetxattr(node.path.c_str(), name, value, size);
}

// Calls `read(buffer, size)` with a buffer as large as it asks for.
template <typename Read>
int read_sized(Read read, std::string* result) {
  for (int attempt = 0; attempt < kAttemptsMax; attempt++) {
    const ssize_t wanted = read(nullptr, 0);
    if (wanted < 0) return errno;
    result->resize(static_cast<size_t>(wanted));
    if (wanted == 0) return 0;
    const ssize_t got = read(result->data(), result->size());
    if (got >= 0) {
      result->resize(static_cast<size_t>(got));
      return 0;
    }
    if (errno != ERANGE) return errno;
  }
  return EBUSY;
}

timespec time_of(std::optional<int64_t> ns) {
  if (!ns) return {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
  int64_t seconds = *ns / kNsPerSecond;
  int64_t rest = *ns % kNsPerSecond;
  if (rest < 0) {
    seconds -= 1;
    rest += kNsPerSecond;
  }
  return {.tv_sec = seconds, .tv_nsec = rest};
}

// Whether `path` is relative and made of names only.
bool is_plain(std::string_view path) {
  if (path.empty()) return true;
  if (path.find('\0') != std::string_view::npos) return false;
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    if (name.empty() || name == "." || name == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

// Without openat2 (an old kernel, a strict container): name by name, comparing devices.
int open_by_names(int directory_fd, const std::string& path, int flags, FileDescriptor* opened) {
  struct stat start;
  if (fstat(directory_fd, &start) != 0) return errno;
  FileDescriptor directory;
  std::string_view rest = path;
  for (size_t slash = rest.find('/'); slash != std::string_view::npos; slash = rest.find('/')) {
    const std::string name(rest.substr(0, slash));
    const int base = directory.is_open() ? directory.get() : directory_fd;
    FileDescriptor next(openat(base, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next.is_open()) return errno;
    directory = std::move(next);
    rest.remove_prefix(slash + 1);
  }
  const std::string name(rest);
  const int base = directory.is_open() ? directory.get() : directory_fd;
  FileDescriptor target(openat(base, name.c_str(), flags));
  if (!target.is_open()) return errno;
  struct stat status;
  if (fstat(target.get(), &status) != 0) return errno;
  if (status.st_dev != start.st_dev) return EXDEV;
  *opened = std::move(target);
  return 0;
}

// One openat2, for a path shorter than PATH_MAX.
int open_once(int directory_fd, const std::string& path, int flags, FileDescriptor* opened) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(static_cast<unsigned>(flags));
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  for (int attempt = 0; attempt < kAttemptsMax; attempt++) {
    const long fd = syscall(SYS_openat2, directory_fd, path.c_str(), &how, sizeof how);
    if (fd >= 0) {
      *opened = FileDescriptor(static_cast<int>(fd));
      return 0;
    }
    if (errno == ENOSYS || errno == EPERM) {
      // EPERM is also what O_NOATIME on a foreign file gets; the caller tries again without it.
      if (errno == EPERM && (flags & O_NOATIME) != 0) return EPERM;
      return open_by_names(directory_fd, path, flags, opened);
    }
    if (errno != EAGAIN && errno != EINTR) return errno;
  }
  return EAGAIN;
}

// Splits off as many leading names as one system call takes.
size_t leading_bytes(std::string_view path) {
  if (path.size() < PATH_MAX) return path.size();
  const size_t slash = path.rfind('/', PATH_MAX - 2);
  return slash == std::string_view::npos ? path.size() : slash;
}

int open_in_parts(int directory_fd, std::string_view path, int flags, FileDescriptor* opened) {
  FileDescriptor directory;
  while (true) {
    const size_t length = leading_bytes(path);
    const int base = directory.is_open() ? directory.get() : directory_fd;
    const std::string part = path.empty() ? "." : std::string(path.substr(0, length));
    if (length == path.size()) return open_once(base, part, flags, opened);
    FileDescriptor next;
    const int error = open_once(base, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, &next);
    if (error != 0) return error;
    directory = std::move(next);
    path.remove_prefix(length + 1);
  }
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

void FileDescriptor::reset() {
  // After an error of close() on Linux the descriptor is gone as well; there is nothing to repeat.
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

NodeReference NodeReference::of_descriptor(int fd) {
  return {.path = "/proc/self/fd/" + std::to_string(fd), .follow = true};
}

int list_xattrs(const NodeReference& node, std::vector<XattrValue>* xattrs) {
  xattrs->clear();
  std::string list;
  int error = read_sized([&](char* buffer, size_t size) { return call_list(node, buffer, size); }, &list);
  if (error == ENOTSUP) return 0;
  if (error != 0) return error;
  for (size_t start = 0; start < list.size();) {
    XattrValue xattr;
    xattr.name = list.c_str() + start;
    start += xattr.name.size() + 1;
    error = read_sized([&](char* buffer, size_t size) { return call_get(node, xattr.name.c_str(), buffer, size); },
                       &xattr.value);
    if (error == ENODATA) continue;  // Removed since it was listed.
    if (error != 0) return error;
    xattrs->push_back(std::move(xattr));
  }
  return 0;
}

int write_xattr(const NodeReference& node, const std::string& name, const std::string& value) {
  const int result = node.follow ? setxattr(node.path.c_str(), name.c_str(), value.data(), value.size(), 0)
                                 : lsetxattr(node.path.c_str(), name.c_str(), value.data(), value.size(), 0);
  return result == 0 ? 0 : errno;
}

int remove_xattr(const NodeReference& node, const std::string& name) {
  const int result =
      node.follow ? removexattr(node.path.c_str(), name.c_str()) : lremovexattr(node.path.c_str(), name.c_str());
  return result == 0 ? 0 : errno;
}

int set_times(const NodeReference& node, std::optional<int64_t> atime_ns, std::optional<int64_t> mtime_ns) {
  const timespec times[2] = {time_of(atime_ns), time_of(mtime_ns)};
  const int flags = node.follow ? 0 : AT_SYMLINK_NOFOLLOW;
  return utimensat(AT_FDCWD, node.path.c_str(), times, flags) == 0 ? 0 : errno;
}

int set_idle_io(bool* idle) {
  // Of linux/ioprio.h, which not every system has in its headers; 0 is the calling thread.
  constexpr int kWhoProcess = 1;
  constexpr int kClassShift = 13;
  constexpr int kClassIdle = 3;
  if (syscall(SYS_ioprio_set, kWhoProcess, 0, kClassIdle << kClassShift) != 0) return errno;
  const long noted = syscall(SYS_ioprio_get, kWhoProcess, 0);
  if (noted < 0) return errno;
  *idle = (noted >> kClassShift) == kClassIdle;
  return 0;
}

int next_data_range(int fd, uint64_t offset, DataRange* range) {
  const off_t start = lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
  if (start >= 0) {
    const off_t end = lseek(fd, start, SEEK_HOLE);
    if (end < 0) return errno;
    *range = {.start = static_cast<uint64_t>(start), .end = static_cast<uint64_t>(end)};
    return 0;
  }
  if (errno != EINVAL && errno != EOPNOTSUPP) return errno;
  struct stat status;
  if (fstat(fd, &status) != 0) return errno;
  const uint64_t size = static_cast<uint64_t>(status.st_size);
  if (offset >= size) return ENXIO;
  *range = {.start = offset, .end = size};
  return 0;
}

int open_beneath(int directory_fd, const std::string& path, int flags, FileDescriptor* opened) {
  if (!is_plain(path) || (flags & (O_CREAT | __O_TMPFILE)) != 0) return EINVAL;
  if ((flags & O_PATH) != 0) {
    const int plain = (flags & (O_PATH | O_DIRECTORY)) | O_NOFOLLOW | O_CLOEXEC;
    return open_in_parts(directory_fd, path, plain, opened);
  }
  const int always = flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  const int error = open_in_parts(directory_fd, path, always | O_NOATIME, opened);
  return error == EPERM ? open_in_parts(directory_fd, path, always & ~O_NOATIME, opened) : error;
}

void end_process_after(int status, int milliseconds) {
  std::thread([=] {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    _exit(status);
  }).detach();
}

}  // namespace covault
