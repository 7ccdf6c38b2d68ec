// Serves a data directory: every request becomes system calls on the file system below.
#ifndef COVAULT_PASSTHROUGH_H_
#define COVAULT_PASSTHROUGH_H_

#include <cstdint>
#include <memory>
#include <string>

#include "epochs.h"
#include "handler.h"

namespace covault {

class MutationLog;

struct PassthroughOptions {
  // The data directory, opened before anything was mounted over it (O_PATH or O_RDONLY). Not taken over; the handler
  // opens its own.
  int directory_fd = -1;
  DataMode data_mode = DataMode::kWriteThrough;
  // Where changes are reported; may be null.
  std::shared_ptr<MutationLog> mutations;
  // Descriptors the handler may hold as caches; 0 = from RLIMIT_NOFILE with a reserve for the rest of the process.
  // Descriptors that must be held (unlinked files, files open in the kernel) come on top.
  uint32_t descriptors_max = 0;
  // What open epochs may take; `kept_max` 0: an eighth of the limit of descriptors.
  EpochOptions epochs;
  // Behave as for an ordinary user although more is possible (for tests).
  bool unprivileged = false;
};

struct PassthroughStatistics {
  uint64_t inodes = 0;            // known to the kernel
  uint64_t path_descriptors = 0;  // cached and pinned O_PATH descriptors
  uint64_t data_descriptors = 0;  // cached data descriptors
  uint64_t pinned = 0;            // of both, held because the inode could not be opened again
  uint64_t open_handles = 0;      // answered to OPEN, OPENDIR, CREATE and not yet released
  uint64_t reopened = 0;          // times a descriptor had to be opened again
  bool privileged = false;        // file handles and zero-message opens are in use
};

// Returns null and sets `error` if the directory cannot be served.
std::shared_ptr<Handler> make_passthrough(const PassthroughOptions& options, std::string* error);

// Of a handler made by make_passthrough.
std::shared_ptr<Epochs> passthrough_epochs(const Handler& handler);
PassthroughStatistics passthrough_statistics(const Handler& handler);

}  // namespace covault

#endif  // COVAULT_PASSTHROUGH_H_
