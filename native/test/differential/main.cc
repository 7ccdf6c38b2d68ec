// Performs the same random operations, in the same order, in two directories and compares what each call returned, its
// errno, and the trees in between: one directory on the mount, one bare. Several processes with different users take
// part, so that locks, permissions and open files of others are met; one operation runs at a time, so that a seed
// repeats exactly.
//
//   differential SEED COUNT MOUNTED_DIRECTORY BARE_DIRECTORY
//
// Exit status: 0 equal, 1 different (seed, operation and both outcomes on standard error), 2 wrong call.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "generate.h"
#include "side.h"
#include "tree.h"

namespace {

constexpr int kProcesses = 4;
constexpr int kOperationsPerTreeComparison = 250;
// Root twice: most operations shall succeed.
constexpr uid_t kUsers[kProcesses] = {0, 0, 1000, 1001};

struct Performer {
  pid_t process;
  int socket;
};

// Runs in the child: performs operations on both sides until the socket closes. Answers 0 for equal outcomes.
void serve(int socket, const std::string& mounted, const std::string& bare, uid_t user) {
  umask(0);
  signal(SIGPIPE, SIG_IGN);  // a fifo without readers shall answer EPIPE
  if (getuid() == 0 && user != 0 && (setgid(user) < 0 || setuid(user) < 0)) std::exit(2);
  Side left(mounted);
  Side right(bare);
  Operation operation;
  while (recv(socket, &operation, sizeof operation, 0) == static_cast<ssize_t>(sizeof operation)) {
    const Outcome on_mount = left.perform(operation);
    const Outcome on_bare = right.perform(operation);
    const char answer = on_mount == on_bare ? 0 : 1;
    if (answer != 0) {
      std::fprintf(stderr, "different: %s\n  mount: %s\n  bare:  %s\n", text_of(operation).c_str(), on_mount.text().c_str(),
                   on_bare.text().c_str());
    }
    if (send(socket, &answer, 1, 0) != 1) break;
  }
}

Performer start_performer(const std::string& mounted, const std::string& bare, uid_t user) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) std::exit(2);
  const pid_t process = fork();
  if (process < 0) std::exit(2);
  if (process == 0) {
    close(sockets[0]);
    serve(sockets[1], mounted, bare, user);
    std::exit(0);
  }
  close(sockets[1]);
  return {process, sockets[0]};
}

bool equal_trees(const std::string& mounted, const std::string& bare) {
  const auto left = tree_lines(mounted);
  const auto right = tree_lines(bare);
  for (size_t i = 0; i < std::max(left.size(), right.size()); i++) {
    const std::string a = i < left.size() ? left[i] : "(nothing)";
    const std::string b = i < right.size() ? right[i] : "(nothing)";
    if (a != b) {
      std::fprintf(stderr, "trees differ:\n  mount: %s\n  bare:  %s\n", a.c_str(), b.c_str());
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: differential SEED COUNT MOUNTED_DIRECTORY BARE_DIRECTORY\n");
    return 2;
  }
  const uint64_t seed = std::strtoull(argv[1], nullptr, 10);
  const int count = std::atoi(argv[2]);
  const std::string mounted = argv[3];
  const std::string bare = argv[4];
  std::vector<Performer> performers;
  for (const uid_t user : kUsers) performers.push_back(start_performer(mounted, bare, user));

  Generator generator(seed, getuid() == 0);
  int number = 0;
  bool equal = true;
  for (; equal && number < count; number++) {
    const Operation operation = generator.next();
    const Performer& performer = performers[generator.below(performers.size())];
    char answer = 1;
    equal = send(performer.socket, &operation, sizeof operation, 0) == static_cast<ssize_t>(sizeof operation) &&
            recv(performer.socket, &answer, 1, 0) == 1 && answer == 0;
    if (equal && number % kOperationsPerTreeComparison == 0) equal = equal_trees(mounted, bare);
  }
  equal = equal && equal_trees(mounted, bare);
  for (const auto& [process, socket] : performers) {
    shutdown(socket, SHUT_RDWR);  // later children have inherited this end: closing it alone would not end the wait
    close(socket);
    waitpid(process, nullptr, 0);
  }
  std::fprintf(equal ? stdout : stderr, "seed %llu: %d operations, %s\n", static_cast<unsigned long long>(seed), number,
               equal ? "equal" : "different");
  return equal ? 0 : 1;
}
