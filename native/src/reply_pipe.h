// The pipe of one device channel, through which large content goes from a file to the kernel as references to the pages
// of the file below, instead of through this process's memory: one copy less. splice(2); fs/fuse/dev.c,
// fuse_dev_splice_write, takes one answer at a time.
#ifndef COVAULT_REPLY_PIPE_H_
#define COVAULT_REPLY_PIPE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "posix.h"
#include "reply.h"

namespace covault {

// Used by one thread. Two descriptors from the first answer on.
class ReplyPipe final : public Splicer {
 public:
  bool fill(uint64_t unique, int fd, off_t offset, size_t bytes) override;
  // Moves the answer from the pipe to `device`. 0 or an errno; the pipe is empty afterwards in either case.
  int send(int device);
  // Takes back an answer that is not to be sent.
  void discard();

 private:
  bool open();

  FileDescriptor reader_;
  FileDescriptor writer_;
  size_t pages_ = 0;         // that fit
  size_t message_bytes_ = 0;  // in the pipe
};

}  // namespace covault

#endif  // COVAULT_REPLY_PIPE_H_
