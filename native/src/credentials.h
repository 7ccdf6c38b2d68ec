// The credentials with which a transport thread calls the file system below. They are state of the calling thread in
// the kernel; the last values set are remembered per thread, so that nothing is called when nothing changes.
//
// A privileged process keeps its capabilities while it takes the caller's user and group: what the caller may do was
// decided by the kernel before the request was sent (default_permissions), and its supplementary groups are unknown
// here. Two capabilities follow the caller:
//   CAP_FSETID       without it the file system drops setuid and setgid bits on write, truncate and chown
//   CAP_SYS_RESOURCE without it quotas and reserved blocks bind; only root's requests have it
// In a process without these capabilities only the umask is set.
#ifndef COVAULT_CREDENTIALS_H_
#define COVAULT_CREDENTIALS_H_

#include <cstdint>

namespace covault::credentials {

// True if this process may take any identity and act on any file.
bool process_is_privileged();

// Before the first request of a thread: own umask and working directory (unshared from the process), no supplementary
// groups, capabilities that stay when the user changes.
void enter_thread(bool privileged);

// New inodes belong to this user and group.
void take(uint32_t uid, uint32_t gid);
// The umask for new inodes.
void set_umask(uint32_t umask);
// Whether setuid and setgid bits survive a change of the file.
void keep_setid_bits(bool keep);

}  // namespace covault::credentials

#endif  // COVAULT_CREDENTIALS_H_
