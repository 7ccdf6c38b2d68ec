// What answers requests: one function per operation, called by transport threads, many at once.
//
// Every function gets decoded, bounds-checked arguments that live until it returns, fills `reply` and returns 0, or
// returns a positive errno, or kDeferred after it took the request over with `reply.defer()`. The functions of a base
// Handler return ENOSYS, which the kernel takes as "this file system has no such operation" and mostly remembers.
#ifndef COVAULT_HANDLER_H_
#define COVAULT_HANDLER_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "reply.h"
#include "request.h"
#include "wire.h"

namespace covault {

enum class DataMode : uint8_t {
  kWriteThrough,  // a write reaches the engine before write(2) returns
  kWriteback,     // the kernel gathers dirty pages and writes them later
};

// What a handler asks of the connection; negotiation grants what the kernel has.
struct Wishes {
  DataMode data_mode = DataMode::kWriteThrough;
  bool zero_message_open = false;   // OPEN and OPENDIR are never sent; requests then carry handle 0
  bool zero_message_flush = false;  // FLUSH is never sent
  bool posix_acl = false;           // ACLs are stored as xattrs and enforced by the kernel; implies own umask handling
  bool kill_privileges = false;     // the handler drops setuid, setgid and capabilities when asked
  uint32_t write_bytes_max = 1u << 20;
};

// What was agreed on with the kernel.
struct Connection {
  uint32_t minor = 0;
  uint64_t flags = 0;  // wire::InitFlag bits
  uint32_t write_bytes_max = 0;
  uint32_t pages_max = 0;
  DataMode data_mode = DataMode::kWriteThrough;
  bool zero_message_open = false;  // answer OPEN, OPENDIR (and CREATE) with ENOSYS
  bool zero_message_flush = false;
};

// What a handler may tell the kernel on its own account. Implemented by the session; valid while requests are handled.
class Notifier {
 public:
  virtual ~Notifier() = default;
  // The attributes of a node changed in a way that the kernel does not expect. May be called by the function that
  // handles a request.
  virtual void attributes_changed(uint64_t node) = 0;
  // Makes the kernel write out what it holds dirty of a range of a file (length 0 = to the end) and drop its pages.
  // Waits for the WRITEs that this causes, which other threads answer, so call it only from a request that these do
  // not wait for. False: too many wait already.
  virtual bool write_out(uint64_t node, off_t offset, off_t length) = 0;
};

class Handler {
 public:
  virtual ~Handler() = default;

  virtual Wishes wishes() const { return {}; }
  // True if operations may return kDeferred: then the server uses only the transport that can (/dev/fuse).
  virtual bool answers_later() const { return false; }
  // Called once, before any other operation. `notifier` outlives every request.
  virtual void connected(const Connection&, Notifier& /*notifier*/) {}
  // Node ids of the regular files that the kernel knows; any thread.
  virtual std::vector<uint64_t> known_files() const { return {}; }
  // Called by every transport thread before its first request and after its last one.
  virtual void thread_starts() {}
  virtual void thread_ends() {}

  // Names.
  virtual Outcome lookup(const Request&, std::string_view, Reply&) { return kAbsent; }
  virtual void forget(uint64_t /*node*/, uint64_t /*lookups*/) {}
  virtual Outcome readlink(const Request&, Reply&) { return kAbsent; }
  virtual Outcome symlink(const Request&, std::string_view /*name*/, std::string_view /*target*/, Reply&) {
    return kAbsent;
  }
  virtual Outcome mknod(const Request&, const wire::MknodIn&, std::string_view, Reply&) { return kAbsent; }
  virtual Outcome mkdir(const Request&, const wire::MkdirIn&, std::string_view, Reply&) { return kAbsent; }
  virtual Outcome unlink(const Request&, std::string_view, Reply&) { return kAbsent; }
  virtual Outcome rmdir(const Request&, std::string_view, Reply&) { return kAbsent; }
  // `request.node` is the old parent; `flags` are those of renameat2.
  virtual Outcome rename(const Request&, std::string_view /*name*/, uint64_t /*new_parent*/,
                         std::string_view /*new_name*/, uint32_t /*flags*/, Reply&) {
    return kAbsent;
  }
  // `request.node` is the directory of the new name, `node` what gets it.
  virtual Outcome link(const Request&, uint64_t /*node*/, std::string_view, Reply&) { return kAbsent; }
  virtual Outcome create(const Request&, const wire::CreateIn&, std::string_view, Reply&) { return kAbsent; }
  virtual Outcome tmpfile(const Request&, const wire::CreateIn&, Reply&) { return kAbsent; }

  // Attributes.
  virtual Outcome getattr(const Request&, const wire::GetattrIn&, Reply&) { return kAbsent; }
  virtual Outcome statx(const Request&, const wire::StatxIn&, Reply&) { return kAbsent; }
  virtual Outcome setattr(const Request&, const wire::SetattrIn&, Reply&) { return kAbsent; }
  virtual Outcome statfs(const Request&, Reply&) { return kAbsent; }
  virtual Outcome setxattr(const Request&, const wire::SetxattrIn&, const char* /*name, terminated*/, Bytes, Reply&) {
    return kAbsent;
  }
  virtual Outcome getxattr(const Request&, const wire::GetxattrIn&, const char* /*name, terminated*/, Reply&) {
    return kAbsent;
  }
  virtual Outcome listxattr(const Request&, const wire::GetxattrIn&, Reply&) { return kAbsent; }
  virtual Outcome removexattr(const Request&, const char* /*name, terminated*/, Reply&) { return kAbsent; }
  virtual Outcome ioctl(const Request&, const wire::IoctlIn&, Bytes, Reply&) { return kAbsent; }

  // Directories.
  virtual Outcome opendir(const Request&, const wire::OpenIn&, Reply&) { return kAbsent; }
  virtual Outcome readdir(const Request&, const wire::ReadIn&, Reply&) { return kAbsent; }
  virtual Outcome readdirplus(const Request&, const wire::ReadIn&, Reply&) { return kAbsent; }
  virtual Outcome releasedir(const Request&, const wire::ReleaseIn&, Reply&) { return kAbsent; }
  virtual Outcome fsyncdir(const Request&, const wire::FsyncIn&, Reply&) { return kAbsent; }

  // Data.
  virtual Outcome open(const Request&, const wire::OpenIn&, Reply&) { return kAbsent; }
  virtual Outcome read(const Request&, const wire::ReadIn&, Reply&) { return kAbsent; }
  virtual Outcome write(const Request&, const wire::WriteIn&, Bytes, Reply&) { return kAbsent; }
  virtual Outcome flush(const Request&, const wire::FlushIn&, Reply&) { return kAbsent; }
  virtual Outcome release(const Request&, const wire::ReleaseIn&, Reply&) { return kAbsent; }
  virtual Outcome fsync(const Request&, const wire::FsyncIn&, Reply&) { return kAbsent; }
  virtual Outcome syncfs(const Request&, Reply&) { return kAbsent; }
  virtual Outcome fallocate(const Request&, const wire::FallocateIn&, Reply&) { return kAbsent; }
  virtual Outcome lseek(const Request&, const wire::LseekIn&, Reply&) { return kAbsent; }
  // `wide`: the answer is a CopyFileRangeOut, else a WriteOut.
  virtual Outcome copy_file_range(const Request&, const wire::CopyFileRangeIn&, bool /*wide*/, Reply&) {
    return kAbsent;
  }

 protected:
  static constexpr Outcome kAbsent = 38;  // ENOSYS
};

}  // namespace covault

#endif  // COVAULT_HANDLER_H_
