// Where a transport thread runs. A caller waits for its answer, so the best place for the thread that serves it is the
// caller's own processor, which is free meanwhile: request and answer are then two switches between tasks. From another
// processor each of them is an interrupt, to a processor that mostly has to be woken first.
//
// With io_uring the kernel has a queue for each processor, and a thread belongs to its queue. With /dev/fuse any thread
// gets any request, so it follows whom it serves.
#ifndef COVAULT_PLACEMENT_H_
#define COVAULT_PLACEMENT_H_

#include <sched.h>

#include <cstdint>

#include "wire.h"

namespace covault {

class Placement {
 public:
  Placement();

  // Moves the calling thread to the processor on which the caller of a request ran last, if that is another one. It may move away
  // again: the scheduler knows better when there is more to do than one caller's work. Looks at most once in
  // `kInterval`, since looking costs several microseconds. Does nothing where the caller cannot be looked at.
  void follow(const wire::InHeader& request);

  // Keeps the calling thread on a processor, if it may run there.
  static void stay_on(unsigned processor);

 private:
  void move_to(unsigned processor);

  cpu_set_t allowed_;
  bool fixed_ = false;  // there is only one processor, or where the thread may run is not known
  int64_t next_look_ns_ = 0;
};

// The number of the processor in the text of /proc/<pid>/stat, -1 if it is not there.
int processor_of(const char* stat_line);

}  // namespace covault

#endif  // COVAULT_PLACEMENT_H_
