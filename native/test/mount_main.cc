// Mounts a data directory without Node.js, for tests and measurements: mount_main DATA MOUNTPOINT [option...]
//   writeback      use the kernel's writeback cache
//   unprivileged   work as for an ordinary user (descriptors instead of file handles)
//   fds=N          cache at most N descriptors
//   threads=N      transport threads to start with
//   uring          use io_uring if the kernel offers it
//   log            report changes to a mutation log and drain it
//   name=TEXT      the name of the mount in the list of mounts
//   type=TEXT      its type there (root only)
//   nosuid, ro     as for any mount (root only)
// SIGINT or SIGTERM unmounts and prints statistics, SIGUSR1 prints them. An ordinary user mounts with fusermount3.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "mutation_log.h"
#include "passthrough.h"
#include "server.h"

using namespace covault;

namespace {

struct Settings {
  PassthroughOptions passthrough;
  ServerOptions server;
  bool log = false;
  std::string name = "covault-test";
  std::string type = "fuse.covault";
  unsigned long mount_flags = 0;
};

bool read_settings(int argc, char** argv, Settings* settings) {
  settings->server.transport = Transport::kDevice;
  for (int i = 3; i < argc; i++) {
    const std::string option = argv[i];
    if (option == "writeback") {
      settings->passthrough.data_mode = DataMode::kWriteback;
    } else if (option == "unprivileged") {
      settings->passthrough.unprivileged = true;
    } else if (option.starts_with("fds=")) {
      settings->passthrough.descriptors_max = static_cast<uint32_t>(atoi(option.c_str() + 4));
    } else if (option.starts_with("threads=")) {
      settings->server.threads_min = static_cast<unsigned>(atoi(option.c_str() + 8));
    } else if (option == "uring") {
      settings->server.transport = Transport::kAuto;
    } else if (option == "nosuid") {
      settings->mount_flags |= MS_NOSUID;
    } else if (option == "ro") {
      settings->mount_flags |= MS_RDONLY;
    } else if (option.starts_with("name=")) {
      settings->name = option.substr(5);
    } else if (option.starts_with("type=")) {
      settings->type = option.substr(5);
    } else if (option == "log") {
      settings->log = true;
    } else {
      fprintf(stderr, "unknown option %s\n", option.c_str());
      return false;
    }
  }
  return true;
}

// The descriptor comes over a socket whose number fusermount3 finds in its environment.
int mount_as_user(const char* mountpoint, const Settings& settings) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    setenv("_FUSE_COMMFD", std::to_string(sockets[1]).c_str(), 1);
    const std::string options = "default_permissions,subtype=covault,fsname=" + settings.name;
    execlp("fusermount3", "fusermount3", "-o", options.c_str(), "--", mountpoint, nullptr);
    _exit(127);
  }
  close(sockets[1]);
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  int fuse = -1;
  if (recvmsg(sockets[0], &message, 0) > 0 && CMSG_FIRSTHDR(&message) != nullptr) {
    memcpy(&fuse, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fuse));
  }
  close(sockets[0]);
  waitpid(child, nullptr, 0);
  return fuse;
}

int mount_as_root(const char* mountpoint, const Settings& settings) {
  const int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fuse < 0) return -1;
  const std::string data =
      "fd=" + std::to_string(fuse) + ",rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other";
  return mount(settings.name.c_str(), mountpoint, settings.type.c_str(), settings.mount_flags, data.c_str()) == 0 ? fuse
                                                                                                                  : -1;
}

void unmount(const char* mountpoint) {
  if (geteuid() == 0) {
    umount2(mountpoint, MNT_DETACH);
    return;
  }
  const pid_t child = fork();
  if (child == 0) {
    execlp("fusermount3", "fusermount3", "-u", "-z", "--", mountpoint, nullptr);
    _exit(127);
  }
  waitpid(child, nullptr, 0);
}

void print(const Server& server, const Handler& handler) {
  const ServerStatistics sums = server.statistics();
  for (size_t i = 0; i < sums.requests.size(); i++) {
    if (sums.requests[i] != 0) fprintf(stderr, "opcode %zu: %lu\n", i, static_cast<unsigned long>(sums.requests[i]));
  }
  const PassthroughStatistics state = passthrough_statistics(handler);
  fprintf(stderr,
          "errors %lu malformed %lu read %lu written %lu threads %u peak %u inodes %lu paths %lu files %lu pinned %lu "
          "handles %lu reopened %lu privileged %d transport %s\n",
          sums.errors, sums.malformed, sums.bytes_read, sums.bytes_written, sums.threads, sums.threads_peak,
          state.inodes, state.path_descriptors, state.data_descriptors, state.pinned, state.open_handles,
          state.reopened, state.privileged, server.transport() == Transport::kIoUring ? "io_uring" : "device");
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  if (argc < 3 || !read_settings(argc, argv, &settings)) {
    fprintf(stderr, "usage: mount_main DATA MOUNTPOINT [writeback|unprivileged|fds=N|threads=N|uring|log]...\n");
    return 64;
  }
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const int directory = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return perror(argv[1]), 1;
  settings.passthrough.directory_fd = directory;

  std::atomic<bool> draining = settings.log;
  std::thread drain;
  if (settings.log) {
    const auto log = std::make_shared<MutationLog>(MutationLogOptions{});
    settings.passthrough.mutations = log;
    drain = std::thread([log, &draining] {
      std::vector<uint8_t> batch;
      while (draining) {
        while (log->take(&batch)) continue;
        usleep(1000);
      }
    });
  }

  std::string error;
  std::shared_ptr<Handler> handler = make_passthrough(settings.passthrough, &error);
  if (handler == nullptr) return fprintf(stderr, "%s\n", error.c_str()), 1;

  const int fuse = geteuid() == 0 ? mount_as_root(argv[2], settings) : mount_as_user(argv[2], settings);
  if (fuse < 0) return perror("mount"), 1;

  settings.server.fuse_fd = fuse;
  std::atomic<bool> ended = false;
  const pid_t self = getpid();
  settings.server.on_end = [&ended, self](EndReason) {
    ended = true;
    kill(self, SIGTERM);
  };
  Server server(settings.server, handler);
  error = server.start();
  if (!error.empty()) {
    unmount(argv[2]);
    return fprintf(stderr, "%s\n", error.c_str()), 1;
  }
  fprintf(stderr, "mounted, transport %s\n", server.transport() == Transport::kIoUring ? "io_uring" : "device");

  int signal = 0;
  while (sigwait(&signals, &signal) == 0 && signal == SIGUSR1) print(server, *handler);
  if (!ended) unmount(argv[2]);
  // A lazy unmount ends the connection when the last user has gone; give up waiting for them after a moment.
  for (int i = 0; i < 50 && !ended; i++) usleep(100000);
  server.stop();
  print(server, *handler);
  draining = false;
  if (drain.joinable()) drain.join();
  return 0;
}
