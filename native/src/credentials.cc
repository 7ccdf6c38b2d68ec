#include "credentials.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <initializer_list>

namespace covault::credentials {

namespace {

struct Capabilities {
  __user_cap_data_struct words[2] = {};
};

bool get_capabilities(Capabilities* capabilities) {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  return syscall(SYS_capget, &header, capabilities->words) == 0;
}

bool set_capabilities(const Capabilities& capabilities) {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  return syscall(SYS_capset, &header, capabilities.words) == 0;
}

bool has(const Capabilities& capabilities, int capability) {
  return (capabilities.words[capability / 32].effective >> (capability % 32) & 1) != 0;
}

void set(Capabilities& capabilities, int capability, bool on) {
  uint32_t& effective = capabilities.words[capability / 32].effective;
  const uint32_t bit = 1u << (capability % 32);
  effective = on ? effective | (capabilities.words[capability / 32].permitted & bit) : effective & ~bit;
}

// What the kernel holds for this thread.
struct ThreadState {
  bool privileged = false;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t umask = UINT32_MAX;  // unknown
  bool setid_kept = true;
  Capabilities capabilities;
};

thread_local ThreadState thread_state;

void apply_capabilities(ThreadState& state) {
  Capabilities wanted = state.capabilities;
  set(wanted, CAP_FSETID, state.setid_kept);
  set(wanted, CAP_SYS_RESOURCE, state.uid == 0);
  if (std::memcmp(&wanted, &state.capabilities, sizeof(wanted)) == 0) return;
  state.capabilities = wanted;
  set_capabilities(wanted);
}

}  // namespace

bool process_is_privileged() {
  Capabilities capabilities;
  if (geteuid() != 0 || !get_capabilities(&capabilities)) return false;
  for (const int needed : {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETUID, CAP_SETGID, CAP_SETPCAP}) {
    if (!has(capabilities, needed)) return false;
  }
  return true;
}

void enter_thread(bool privileged) {
  ThreadState& state = thread_state;
  state = {};
  unshare(CLONE_FS);
  if (!privileged || !get_capabilities(&state.capabilities)) return;
  // Raw calls: those of the C library change all threads of the process.
  if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) != 0) return;
  syscall(SYS_setgroups, 0, nullptr);
  // Writing for the kernel's page cache must not wait for memory that this very write would free.
  prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  state.privileged = true;
}

void take(uint32_t uid, uint32_t gid) {
  ThreadState& state = thread_state;
  if (!state.privileged) return;
  if (state.gid != gid) {
    syscall(SYS_setfsgid, gid);
    state.gid = gid;
  }
  if (state.uid != uid) {
    syscall(SYS_setfsuid, uid);
    const bool resource_changes = (state.uid == 0) != (uid == 0);
    state.uid = uid;
    if (resource_changes) apply_capabilities(state);
  }
}

void set_umask(uint32_t mask) {
  ThreadState& state = thread_state;
  mask &= 0777;
  if (state.umask == mask) return;
  ::umask(mask);
  state.umask = mask;
}

void keep_setid_bits(bool keep) {
  ThreadState& state = thread_state;
  if (!state.privileged || state.setid_kept == keep) return;
  state.setid_kept = keep;
  apply_capabilities(state);
}

}  // namespace covault::credentials
