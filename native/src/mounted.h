// Mounting and unmounting, as far as Node.js cannot: results are an errno (0 = done). Thread-safe; no state.
#ifndef COVAULT_MOUNTED_H_
#define COVAULT_MOUNTED_H_

#include <cstdint>
#include <string>

#include "posix.h"

namespace covault {

// mount(2) of a FUSE file system; for root. `flags` are MS_ flags; `options` what the kernel parses.
int mount_fuse(const std::string& mountpoint, unsigned long flags, const std::string& options);

enum class Unmount : uint8_t {
  kUnused,   // fails with EBUSY while it is in use
  kLazy,     // detaches at once, and ends when the last user has gone
  kAborted,  // detaches and ends at once: whatever waits for the server fails with ECONNABORTED, unwritten data are lost
};

// umount2(2) without following a final symlink.
int unmount_fuse(const std::string& mountpoint, Unmount how);

// Flushes the mount to its server: everything written before the call has reached the server afterwards. Not for the
// thread that JavaScript runs on, nor for one that answers requests.
int sync_mount(const std::string& mountpoint);

// The descriptor of /dev/fuse that `fusermount3` sends over its socket. Does not wait: the program has ended.
int receive_descriptor(int socket, FileDescriptor* received);

// For the end of the process: detaches lazily, through `helper` (the path of fusermount3) unless that is empty.
void detach_mount(const std::string& mountpoint, const std::string& helper);

}  // namespace covault

#endif  // COVAULT_MOUNTED_H_
