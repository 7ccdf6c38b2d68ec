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
#include <deque>
#include <list>
#include <mutex>

#include "negotiation.h"
#include "server.h"
#include "uring_channel.h"

namespace covault {

// Interrupts the system call in which a transport thread waits for requests.
int session_wake_signal();

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
  // Workers that take their requests from the same place: /dev/fuse, or one of the kernel's queues. Those of one pool
  // cannot help another.
  struct alignas(64) Pool {
    Pool(unsigned its_queue, size_t its_workers_max) : queue(its_queue), workers_max(its_workers_max) {}
    const unsigned queue;  // of ring workers
    const size_t workers_max;
    std::atomic<int> idle = 0;  // workers waiting for a request
  };
  struct Worker {
    Role role = Role::kDevice;
    Pool* pool = nullptr;
    pthread_t thread = {};
    // Odd while a request is being handled, even while waiting for one; grows with every step.
    std::atomic<uint64_t> progress = 0;
    uint64_t progress_seen = 0;  // by the supervisor
    ThreadCounters counters;
  };
  using WorkerIterator = std::list<Worker>::iterator;

  enum class State : uint8_t { kNew, kStarting, kRunning, kEnded };
  enum class Rings : uint8_t { kNone, kOpening, kGranted, kRefused };

  bool add_worker_locked(Role role, Pool& pool);
  void run_worker(WorkerIterator worker);
  void run_device_worker(Worker& worker, const SharedDescriptor& device);
  void run_ring_worker(Worker& worker, const SharedDescriptor& device);
  void serve(Worker& worker, Channel& channel);
  bool answer_init(DeviceChannel& channel);
  bool open_rings();
  void started(const Negotiated& negotiated);
  void supervise();
  bool grow_if_stuck_locked(Pool& pool);
  void end(EndReason reason, std::string failure);
  void ask_for_request();
  void stopped_waiting(Pool& pool);
  void wake_supervisor();
  bool surplus();

  const ServerOptions options_;
  const std::shared_ptr<Handler> handler_;
  unsigned threads_min_;
  SharedDescriptor device_;
  std::atomic<Transport> transport_ = Transport::kDevice;

  std::atomic<bool> stopping_ = false;
  std::atomic<bool> accepting_ = true;
  std::atomic<bool> watched_ = false;  // the supervisor looks at the workers every few milliseconds
  std::atomic<uint32_t> alarms_ = 0;   // counts reasons to wake the sleeping supervisor
  std::atomic<int> surplus_ = 0;       // workers that shall end after their next request
  std::atomic<uint64_t> retrieves_ = 0;  // asked for; a queue finds its requests by their numbers
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
  std::deque<Pool> pools_;  // of /dev/fuse, then of each queue; grows before there is more than the lead
  Rings rings_ = Rings::kNone;
  unsigned ring_workers_max_ = 0;  // of each queue
  unsigned rings_pending_ = 0;     // ring workers that have not opened their ring yet
  bool rings_failed_ = false;
  unsigned threads_peak_ = 0;
  ServerStatistics ended_workers_;
};

}  // namespace covault

#endif  // COVAULT_SESSION_H_
