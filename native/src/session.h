// The inside of a Server: its threads and their supervision.
//
// Ownership. Every transport thread and the supervisor hold a shared pointer to the session; a thread that never comes
// back from the file system below therefore keeps what it uses alive even after stop() has given it up.
//
// Lock order. `mutex_` guards the list of workers and the state of starting and ending; it is a leaf (no handler
// function, no system call that can wait for the mount, under it).
#ifndef COVAULT_SESSION_H_
#define COVAULT_SESSION_H_

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <list>
#include <mutex>

#include "negotiation.h"
#include "server.h"
#include "uring_channel.h"

namespace covault {

class Server::Session final : public Notifier, public std::enable_shared_from_this<Server::Session> {
 public:
  Session(ServerOptions options, std::shared_ptr<Handler> handler);

  std::string start();
  void stop();
  void finish_writes();
  ServerStatistics statistics() const;
  std::string failure() const;
  Connection connection() const;
  Transport transport() const { return transport_.load(); }
  void attributes_changed(uint64_t node) override;
  bool write_out(uint64_t node, off_t offset, off_t length) override;
  bool enter_write_out();
  // Has the kernel write out and drop pages (length 0 = to the end; offset -1 = only attributes); 0 or an errno.
  int invalidate(uint64_t node, int64_t offset, int64_t length);
  // Writes a notification; 0 or an errno.
  int notify(int32_t code, Bytes fixed, Bytes bytes);

 private:
  // The lead answers INIT and then serves /dev/fuse as the other device workers do. A ring worker serves an entry of
  // one of the kernel's queues.
  enum class Role : uint8_t { kLead, kDevice, kRing };
  struct Worker {
    Role role = Role::kDevice;
    unsigned queue = 0;  // of a ring worker
    pthread_t thread = {};
    // Odd while a request is being handled, even while waiting for one; grows with every step.
    std::atomic<uint64_t> progress = 0;
    uint64_t progress_seen = 0;  // by the supervisor
    ThreadCounters counters;
  };
  using WorkerIterator = std::list<Worker>::iterator;

  enum class State : uint8_t { kNew, kStarting, kRunning, kEnded };
  enum class Rings : uint8_t { kNone, kOpening, kGranted, kRefused };

  bool add_worker_locked(Role role, unsigned queue);
  void run_worker(WorkerIterator worker);
  void run_device_worker(Worker& worker, const SharedDescriptor& device);
  void run_ring_worker(Worker& worker, const SharedDescriptor& device);
  void serve(Worker& worker, Channel& channel);
  bool answer_init(DeviceChannel& channel);
  bool open_rings();
  void started(const Negotiated& negotiated);
  void supervise();
  bool grow_if_stuck_locked(Role role, unsigned queue, size_t most);
  void end(EndReason reason, std::string failure);
  void request_taken();
  void wake_supervisor();
  bool surplus();

  const ServerOptions options_;
  const std::shared_ptr<Handler> handler_;
  unsigned threads_min_;
  SharedDescriptor device_;
  std::atomic<Transport> transport_ = Transport::kDevice;

  std::atomic<bool> stopping_ = false;
  std::atomic<bool> accepting_ = true;
  std::atomic<int> idle_ = 0;          // workers waiting for a request
  std::atomic<bool> watched_ = false;  // the supervisor looks at the workers every few milliseconds
  std::atomic<uint32_t> alarms_ = 0;   // counts reasons to wake the sleeping supervisor
  std::atomic<int> surplus_ = 0;       // workers that shall end after their next request
  std::atomic<unsigned> write_outs_ = 0;  // workers that wait in write_out()
  unsigned write_outs_max_ = 0;           // of them; set before the second request is served

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // state_, workers_, supervising_
  State state_ = State::kNew;
  bool supervising_ = false;
  EndReason end_reason_ = EndReason::kStopped;
  std::string failure_;
  Connection connection_;
  std::list<Worker> workers_;
  Rings rings_ = Rings::kNone;
  unsigned queues_ = 0;         // of the ring
  unsigned rings_pending_ = 0;  // ring workers that have not opened their ring yet
  bool rings_failed_ = false;
  unsigned threads_peak_ = 0;
  ServerStatistics ended_workers_;
};

}  // namespace covault

#endif  // COVAULT_SESSION_H_
