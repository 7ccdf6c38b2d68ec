// Contents of files: OPEN, READ, WRITE, RELEASE, FSYNC, SYNCFS, FALLOCATE, LSEEK, COPY_FILE_RANGE.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "credentials.h"
#include "holes.h"
#include "passthrough_handler.h"

namespace covault {

namespace {

// What one COPY_FILE_RANGE does at most: it must not hold up a cut for long, and whoever asked for more asks again.
constexpr size_t kCopyMax = 64 * 1024 * 1024;

// A request of this size belongs to a stream …
constexpr size_t kStreamRequestBytes = 128 * 1024;
// … and after so many bytes of one the file system below begins to write to its disk. By itself it begins late, as with
// any writer, but here the same bytes go through a second page cache on their way: what the disk does meanwhile makes up
// for that when the stream ends with fsync.
constexpr uint64_t kWriteBehindBytes = 8 << 20;

void write_behind(OpenDescriptor& file, size_t bytes) {
  if (bytes < kStreamRequestBytes) return;
  if (file.streamed.fetch_add(bytes, std::memory_order_relaxed) + bytes < kWriteBehindBytes) return;
  file.streamed.store(0, std::memory_order_relaxed);
  sync_file_range(file.fd.get(), 0, 0, SYNC_FILE_RANGE_WRITE);  // an error shows at fsync
}

// How much of a file a request of a stream asks for, as far as there is that much; 0 if it is not worth a pipe.
size_t stream_bytes(int fd, const wire::ReadIn& in) {
  struct stat status;
  if (in.size < kStreamRequestBytes || fstat(fd, &status) != 0) return 0;
  const auto size = static_cast<uint64_t>(status.st_size);
  const uint64_t rest = size > in.offset ? size - in.offset : 0;
  return rest < kStreamRequestBytes ? 0 : std::min<uint64_t>(in.size, rest);
}

// All of `content`, unless an error stops it; a part that was written counts.
ssize_t write_all(int fd, Bytes content, off_t offset) {
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t count = pwrite(fd, content.data() + done, content.size() - done, offset + static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return done > 0 ? static_cast<ssize_t>(done) : count;
    done += static_cast<size_t>(count);
  }
  return static_cast<ssize_t>(done);
}

// The part of `content` that goes behind the end of a file that can only be appended to; empty = not permitted. Pages
// written back later may begin before the end, with what stands there already.
Bytes appendable(int fd, Bytes content, uint64_t offset, bool cached) {
  struct stat status;
  if (fstat(fd, &status) != 0) return {};
  const auto size = static_cast<uint64_t>(status.st_size);
  if (offset == size) return content;
  if (!cached || offset > size || size - offset >= content.size()) return {};
  return content.subspan(size - offset);
}

}  // namespace

Outcome PassthroughHandler::open(const Request& request, const wire::OpenIn& in, Reply& reply) {
  if (connection_.zero_message_open) return ENOSYS;
  wire::OpenOut out{.handle = 0, .open_flags = wire::kOpenKeepCache, .backing_id = 0};
  if (!stateless_) {
    int error = 0;
    const Lease lease = nodes_->path(request.node, &error);
    if (lease == nullptr) return error;
    const std::string path = "/proc/self/fd/" + std::to_string(lease->fd.get());
    const int wanted = static_cast<int>(in.flags) & O_ACCMODE;
    const int flags = O_CLOEXEC | O_NONBLOCK | (static_cast<int>(in.flags) & O_NOATIME);
    // The kernel reads before it writes a part of a page, so a file opened for writing is opened for reading too. Where
    // that is not permitted the open file goes without the page cache.
    FileDescriptor fd;
    Access access = wanted == O_RDONLY ? Access::kRead : Access::kReadWrite;
    fd = FileDescriptor(::open(path.c_str(), flags | (wanted == O_RDONLY ? O_RDONLY : O_RDWR)));
    if (!fd.is_open() && wanted == O_WRONLY) {
      fd = FileDescriptor(::open(path.c_str(), flags | O_WRONLY));
      out.open_flags |= wire::kOpenDirectIo;
    }
    // A file with the append-only attribute may be opened for appending alone.
    const bool append_only =
        !fd.is_open() && errno == EPERM && wanted != O_RDONLY && (static_cast<int>(in.flags) & O_APPEND) != 0;
    if (append_only) fd = FileDescriptor(::open(path.c_str(), flags | wanted | O_APPEND));
    if (!fd.is_open()) return errno;
    out.handle = open_files_.add(std::move(fd), access, append_only);
  }
  reply.put(out);
  return 0;
}

Outcome PassthroughHandler::release(const Request&, const wire::ReleaseIn& in, Reply&) {
  open_files_.release(in.handle);
  return 0;
}

Outcome PassthroughHandler::read(const Request& request, const wire::ReadIn& in, Reply& reply) {
  int error = 0;
  const Lease lease = file(request.node, in.handle, Access::kRead, &error);
  if (lease == nullptr) return error;
  const int fd = lease->fd.get();
  if (reply.splice(fd, static_cast<off_t>(in.offset), stream_bytes(fd, in))) return 0;
  const ssize_t count = pread(fd, reply.space().data(), in.size, static_cast<off_t>(in.offset));
  if (count < 0) return errno;
  reply.use_space(static_cast<size_t>(count));
  return 0;
}

Outcome PassthroughHandler::write(const Request& request, const wire::WriteIn& in, Bytes content, Reply& reply) {
  int error = 0;
  const Lease lease = file(request.node, in.handle, Access::kReadWrite, &error);
  if (lease == nullptr) return error;
  const bool kill = (in.write_flags & wire::kWriteKillSuidgid) != 0;
  // What comes from the page cache was accepted from its writer long ago; the request does not say who that was.
  const bool cached = (in.write_flags & wire::kWriteCache) != 0;
  credentials::take(cached ? 0 : request.uid, cached ? 0 : request.gid);
  credentials::keep_setid_bits(!kill);
  const int fd = lease->fd.get();
  int stopped_by = EIO;  // what a write that is cut short was cut short by
  const auto pass = changes_.enter();
  const ssize_t count = changes_.content({key(request.node), fd}, in.offset, content.size(), [&]() -> ssize_t {
    if (!lease->append_only) {
      return keeping_time(request.node, lease, [&] {
        const ssize_t done = write_all(fd, content, static_cast<off_t>(in.offset));
        if (errno != 0) stopped_by = errno;
        return done;
      });
    }
    const Bytes rest = appendable(fd, content, in.offset, cached);
    errno = EPERM;
    if (rest.empty() || write_all(fd, rest, 0) != static_cast<ssize_t>(rest.size())) return -1;
    return static_cast<ssize_t>(content.size());
  });
  if (count < 0) return errno;
  // Of pages written back the kernel does not ask how many arrived, only whether the request failed.
  if (cached && static_cast<size_t>(count) < content.size()) return stopped_by;
  write_behind(*lease, content.size());
  reply.put(wire::WriteOut{.size = static_cast<uint32_t>(count), .padding = 0});
  return 0;
}

Outcome PassthroughHandler::fsync(const Request& request, const wire::FsyncIn& in, Reply&) {
  int error = 0;
  const Lease lease = file(request.node, in.handle, Access::kRead, &error);
  if (lease == nullptr) return error;
  const int fd = lease->fd.get();
  const int result = (in.flags & wire::kFsyncDataOnly) != 0 ? ::fdatasync(fd) : ::fsync(fd);
  return result == 0 ? 0 : errno;
}

Outcome PassthroughHandler::syncfs(const Request&, Reply&) {
  int error = 0;
  const Lease lease = nodes_->directory(wire::kRootNode, &error);
  if (lease == nullptr) return error;
  return ::syncfs(lease->fd.get()) == 0 ? 0 : errno;
}

Outcome PassthroughHandler::fallocate(const Request& request, const wire::FallocateIn& in, Reply&) {
  int error = 0;
  const Lease lease = file(request.node, in.handle, Access::kReadWrite, &error);
  if (lease == nullptr) return error;
  credentials::take(request.uid, request.gid);
  credentials::keep_setid_bits(request.uid == 0);
  const Subject file{key(request.node), lease->fd.get()};
  const auto pass = changes_.enter();
  const auto act = [&] {
    return keeping_time(request.node, lease, [&] {
      return ::fallocate(lease->fd.get(), static_cast<int>(in.mode), static_cast<off_t>(in.offset),
                         static_cast<off_t>(in.length));
    });
  };
  // Space reserved within or behind the file changes no content; anything else may.
  const int result =
      in.mode == FALLOC_FL_KEEP_SIZE ? changes_.attributes(file, act) : changes_.range(file, in.offset, in.length, act);
  if (result != 0) return errno;
  if (request.uid != 0) changes_.mode_touched(file.inode);
  return 0;
}

Outcome PassthroughHandler::lseek(const Request& request, const wire::LseekIn& in, Reply& reply) {
  int error = 0;
  const Lease lease = file(request.node, in.handle, Access::kRead, &error);
  if (lease == nullptr) return error;
  const auto seek = [&](off_t offset, int whence) -> off_t {
    const off_t found = ::lseek(lease->fd.get(), offset, whence);
    return found < 0 ? -errno : found;
  };
  // The answer ENOSYS leaves it to the kernel, for ever, to say that all is data.
  const auto write_out = [&](off_t offset, off_t length) {
    return notifier_ == nullptr || notifier_->write_out(request.node, offset, length);
  };
  const off_t offset = seek_written(static_cast<off_t>(in.offset), static_cast<int>(in.whence), seek, write_out);
  if (offset < 0) return static_cast<Outcome>(-offset);
  reply.put(wire::LseekOut{.offset = static_cast<uint64_t>(offset)});
  return 0;
}

Outcome PassthroughHandler::copy_file_range(const Request& request, const wire::CopyFileRangeIn& in, bool wide,
                                            Reply& reply) {
  int error = 0;
  const Lease from = file(request.node, in.handle_in, Access::kRead, &error);
  if (from == nullptr) return error;
  const Lease to = file(in.node_out, in.handle_out, Access::kReadWrite, &error);
  if (to == nullptr) return error;
  credentials::take(request.uid, request.gid);
  credentials::keep_setid_bits(request.uid == 0);
  const Subject file{key(in.node_out), to->fd.get()};
  off_t offset_in = static_cast<off_t>(in.offset_in);
  off_t offset_out = static_cast<off_t>(in.offset_out);
  const size_t length = std::min<size_t>(in.length, kCopyMax);
  const auto pass = changes_.enter();
  const ssize_t count = changes_.content(file, in.offset_out, length, [&] {
    return keeping_time(in.node_out, to, [&] {
      return ::copy_file_range(from->fd.get(), &offset_in, to->fd.get(), &offset_out, length,
                               static_cast<unsigned>(in.flags));
    });
  });
  if (count < 0) return errno;
  if (request.uid != 0 && count > 0) changes_.mode_touched(file.inode);
  if (wide) {
    reply.put(wire::CopyFileRangeOut{.bytes_copied = static_cast<uint64_t>(count)});
  } else {
    reply.put(wire::WriteOut{.size = static_cast<uint32_t>(count), .padding = 0});
  }
  return 0;
}

}  // namespace covault
