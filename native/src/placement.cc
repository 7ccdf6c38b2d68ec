// Where a transport thread runs.
#include "placement.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "posix.h"
#include "wire_codes.h"

namespace covault {

namespace {

constexpr int64_t kInterval = 4'000'000;  // ns

// Number of the processor's field in /proc/<pid>/stat, counted from the one behind the name of the program.
constexpr int kProcessorField = 37;

int64_t coarse_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Requests whose caller does nothing until the answer, and is not in the middle of exec, when looking at it would wait for
// the end of that: SETATTR and FLUSH may come from files closed by exec. Who reads or writes may go on meanwhile.
bool waits_at_once(uint32_t opcode) {
  switch (opcode) {
    case wire::kLookup:
    case wire::kGetattr:
    case wire::kMknod:
    case wire::kMkdir:
    case wire::kUnlink:
    case wire::kRmdir:
    case wire::kRename:
    case wire::kRename2:
    case wire::kLink:
    case wire::kSymlink:
    case wire::kCreate:
    case wire::kGetxattr:
      return true;
    default:
      return false;
  }
}

}  // namespace

int processor_of(const char* stat_line) {
  // The name is in brackets and may hold anything, brackets too.
  const char* at = strrchr(stat_line, ')');
  for (int field = 0; at != nullptr && field < kProcessorField; field++) at = strchr(at + 1, ' ');
  if (at == nullptr || at[1] < '0' || at[1] > '9') return -1;
  return atoi(at + 1);
}

Placement::Placement() {
  CPU_ZERO(&allowed_);
  fixed_ = sched_getaffinity(0, sizeof(allowed_), &allowed_) != 0 || CPU_COUNT(&allowed_) < 2;
}

void Placement::follow(const wire::InHeader& request) {
  const uint32_t task = request.pid;
  if (fixed_ || task == 0 || !waits_at_once(request.opcode)) return;
  const int64_t now = coarse_ns();
  if (now < next_look_ns_) return;
  next_look_ns_ = now + kInterval;
  char path[64];
  snprintf(path, sizeof(path), "/proc/%u/task/%u/stat", task, task);
  const FileDescriptor file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return;
  char line[1024];
  const ssize_t count = read(file.get(), line, sizeof(line) - 1);
  if (count <= 0) return;
  line[count] = 0;
  const int processor = processor_of(line);
  if (processor >= 0 && processor != sched_getcpu()) move_to(static_cast<unsigned>(processor));
}

void Placement::move_to(unsigned processor) {
  if (processor >= CPU_SETSIZE || !CPU_ISSET(processor, &allowed_)) return;
  stay_on(processor);
  sched_setaffinity(0, sizeof(allowed_), &allowed_);
}

void Placement::stay_on(unsigned processor) {
  if (processor >= CPU_SETSIZE) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(processor, &one);
  sched_setaffinity(0, sizeof(one), &one);
}

}  // namespace covault
