// A FUSE session: owns the /dev/fuse descriptor of one mount, answers INIT, and runs the transport threads that hand
// requests to a Handler. Mounting and unmounting are the owner's business.
//
// Threads. start() makes the first transport thread, which answers INIT and then makes the others; a supervisor adds
// threads while all are stuck in slow requests and ends them afterwards. Handler functions run in transport threads.
//
// The process must never touch its own mount from a transport thread.
#ifndef COVAULT_SERVER_H_
#define COVAULT_SERVER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "handler.h"

namespace covault {

enum class Transport : uint8_t { kAuto, kDevice, kIoUring };

enum class EndReason : uint8_t {
  kUnmounted,  // the kernel closed the connection
  kStopped,    // stop() was called
  kFailed,     // a transport failed; see Server::failure()
};

struct ServerOptions {
  int fuse_fd = -1;  // a mounted (or about to be mounted) /dev/fuse; the server closes it
  Transport transport = Transport::kAuto;
  unsigned threads_min = 0;  // 0 = the number of processors, at least 2
  unsigned threads_max = 32;
  int init_timeout_ms = 10000;
  // Called once, from a thread of the server, when the connection has ended by itself (never because of stop()).
  // It must not call stop() or destroy the server; hand that over to another thread.
  std::function<void(EndReason)> on_end;
};

struct ServerStatistics {
  std::array<uint64_t, wire::kOpcodeCount> requests = {};  // by opcode
  uint64_t errors = 0;                                     // replies with an errno (ENOENT of lookups too)
  uint64_t malformed = 0;                                  // requests that could not be decoded
  uint64_t bytes_read = 0;                                 // by READ
  uint64_t bytes_written = 0;                              // by WRITE
  unsigned threads = 0;                                    // at this moment
  unsigned threads_peak = 0;
};

class Server {
 public:
  Server(ServerOptions options, std::shared_ptr<Handler> handler);
  ~Server();  // stop()
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Starts the threads and waits until INIT has been answered. Empty string = running; else what went wrong.
  // Call it after mount(2), or before it from another thread.
  std::string start();

  // Ends the threads and closes the descriptor: what is still mounted then answers ENOTCONN. Requests being handled are
  // finished first. Idempotent; not from a thread of the server.
  void stop();

  // Before stop() while files are still open: lets no caller write into the page cache any more (what could begin such a
  // write is answered with ENOTCONN), and has the kernel write out what it holds. Waits for requests; not from a Handler
  // function.
  void finish_writes();

  // Transport in use once started: kDevice or kIoUring.
  Transport transport() const;
  Connection connection() const;
  ServerStatistics statistics() const;
  std::string failure() const;

  // Notifications; each returns 0 or an errno (ENOENT: the kernel did not know the node or name). They may wait for
  // locks that a request being handled holds: never call them from a Handler function.
  int invalidate_inode(uint64_t node, int64_t offset, int64_t length);  // length 0 = to the end; offset -1 = attributes
  int invalidate_entry(uint64_t parent, std::string_view name);

 private:
  class Session;
  std::shared_ptr<Session> session_;
};

}  // namespace covault

#endif  // COVAULT_SERVER_H_
