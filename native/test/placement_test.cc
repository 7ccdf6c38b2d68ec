// Where a transport thread runs.
#include "placement.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "check.h"
#include "wire_codes.h"

using namespace covault;

namespace {

// A line of /proc/<pid>/stat whose 39th field is `processor`.
std::string stat_line(const std::string& program, const std::string& processor) {
  std::string line = "7 (" + program + ") S";
  for (int field = 4; field <= 38; field++) line += " " + std::to_string(field);
  return line + " " + processor + " 40 41\n";
}

wire::InHeader lookup_of(uint32_t task) {
  wire::InHeader request = {};
  request.opcode = wire::kLookup;
  request.pid = task;
  return request;
}

}  // namespace

TEST("the processor is found behind any name of a program") {
  CHECK(processor_of(stat_line("tar", "3").c_str()) == 3);
  CHECK(processor_of(stat_line("a) R 1 (b", "12").c_str()) == 12);
  CHECK(processor_of(stat_line("tar", "-").c_str()) == -1);
  CHECK(processor_of("7 (tar) S 1 2") == -1);
  CHECK(processor_of("") == -1);
}

TEST("a thread follows a task to its processor and may leave it again") {
  cpu_set_t allowed;
  CHECK(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
  for (int processor = 0; processor < CPU_SETSIZE; processor++) {
    if (!CPU_ISSET(processor, &allowed)) continue;
    std::atomic<uint32_t> task = 0;
    std::atomic<bool> ends = false;
    std::thread served([&] {
      Placement::stay_on(static_cast<unsigned>(processor));
      task = static_cast<uint32_t>(gettid());
      task.notify_one();
      ends.wait(false);
    });
    task.wait(0);
    // Between the move and the look the scheduler may have had other plans.
    bool found = false;
    for (int i = 0; i < 1000 && !found; i++) {
      Placement placement;
      placement.follow(lookup_of(task));
      found = sched_getcpu() == processor;
    }
    CHECK(found);
    cpu_set_t afterwards;
    CHECK(sched_getaffinity(0, sizeof(afterwards), &afterwards) == 0 && CPU_EQUAL(&allowed, &afterwards));
    ends = true;
    ends.notify_one();
    served.join();
  }
}

TEST("a task that does not exist moves nobody") {
  Placement placement;
  placement.follow(lookup_of(0));
  placement.follow(lookup_of(0x7fffffff));
}
