#include "mounted.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace covault {

int mount_fuse(const std::string& mountpoint, unsigned long flags, const std::string& options) {
  return mount("covault", mountpoint.c_str(), "fuse.covault", flags, options.c_str()) == 0 ? 0 : errno;
}

int unmount_fuse(const std::string& mountpoint, Unmount how) {
  const int detach = how == Unmount::kUnused ? 0 : MNT_DETACH;
  const int abort = how == Unmount::kAborted ? MNT_FORCE : 0;
  return umount2(mountpoint.c_str(), UMOUNT_NOFOLLOW | detach | abort) == 0 ? 0 : errno;
}

int sync_mount(const std::string& mountpoint) {
  const FileDescriptor root(open(mountpoint.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.is_open()) return errno;
  return syncfs(root.get()) == 0 ? 0 : errno;
}

int receive_descriptor(int socket, FileDescriptor* received) {
  char byte = 0;
  iovec data = {.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got;
  do {
    got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return errno;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int))) {
    return EPROTO;
  }
  int fd;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  *received = FileDescriptor(fd);
  return 0;
}

void detach_mount(const std::string& mountpoint, const std::string& helper) {
  if (helper.empty()) {
    unmount_fuse(mountpoint, Unmount::kLazy);
    return;
  }
  std::string program = helper;
  std::string unmount = "-u";
  std::string quiet = "-q";
  std::string lazy = "-z";
  std::string end_of_options = "--";
  std::string place = mountpoint;
  char* arguments[] = {program.data(),        unmount.data(), quiet.data(), lazy.data(),
                       end_of_options.data(), place.data(),   nullptr};
  pid_t pid;
  if (posix_spawn(&pid, helper.c_str(), nullptr, nullptr, arguments, environ) != 0) return;
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace covault
