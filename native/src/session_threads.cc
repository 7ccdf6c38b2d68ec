// The threads of a session: what they do, and how many there are.
#include <signal.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "placement.h"
#include "session.h"

namespace covault {

namespace {

using std::chrono::milliseconds;

// How often the supervisor looks while all threads of a pool are busy; a request slower than this counts as stuck.
constexpr milliseconds kWatchInterval{4};
// Looks without a stuck pool after which the supervisor goes to sleep and additional threads may end.
constexpr int kQuietLooks = 50;

// Files that are tried for one that the kernel still knows.
constexpr int kFilesTried = 16;

void block_other_signals() {
  sigset_t signals;
  sigfillset(&signals);
  sigdelset(&signals, session_wake_signal());
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

}  // namespace

// False if the system has no thread left.
bool Server::Session::add_worker_locked(Role role, Pool& pool) {
  struct Start {
    std::shared_ptr<Session> session;
    WorkerIterator worker;
  };
  workers_.emplace_back();
  const WorkerIterator worker = std::prev(workers_.end());
  worker->role = role;
  worker->pool = &pool;
  auto start = std::make_unique<Start>(Start{shared_from_this(), worker});
  const auto run = [](void* argument) -> void* {
    const std::unique_ptr<Start> start(static_cast<Start*>(argument));
    start->session->run_worker(start->worker);
    return nullptr;
  };
  if (pthread_create(&worker->thread, nullptr, run, start.get()) != 0) {
    workers_.erase(worker);
    return false;
  }
  start.release();
  pthread_detach(worker->thread);
  threads_peak_ = std::max(threads_peak_, static_cast<unsigned>(workers_.size()));
  return true;
}

void Server::Session::run_worker(WorkerIterator worker) {
  block_other_signals();
  SharedDescriptor device;
  {
    const std::lock_guard lock(mutex_);
    device = device_;
  }
  handler_->thread_starts();
  if (device != nullptr) {
    if (worker->role == Role::kRing) {
      run_ring_worker(*worker, device);
    } else {
      run_device_worker(*worker, device);
    }
  }
  handler_->thread_ends();
  device.reset();
  const std::lock_guard lock(mutex_);
  worker->counters.add_to(ended_workers_);
  workers_.erase(worker);
  changed_.notify_all();
}

void Server::Session::run_device_worker(Worker& worker, const SharedDescriptor& device) {
  pthread_setname_np(pthread_self(), "covault-fuse");
  const bool lead = worker.role == Role::kLead;
  DeviceChannel channel(lead ? device : DeviceChannel::clone(device), handler_->wishes().write_bytes_max);
  if (!lead || answer_init(channel)) serve(worker, channel);
}

void Server::Session::run_ring_worker(Worker& worker, const SharedDescriptor& device) {
  pthread_setname_np(pthread_self(), "covault-ring");
  const unsigned queue = worker.pool->queue;
  UringChannel channel(device, queue, handler_->wishes().write_bytes_max);
  const int error = channel.open();
  bool late = true;
  {
    std::unique_lock lock(mutex_);
    if (rings_ == Rings::kOpening) {
      late = false;
      if (error != 0) rings_failed_ = true;
      rings_pending_--;
      changed_.notify_all();
      changed_.wait(lock, [this] { return rings_ != Rings::kOpening; });
    }
    if (rings_ != Rings::kGranted || error != 0) return;
  }
  Placement::stay_on(queue);
  channel.enlist();
  if (late) {
    channel.flush();
    ask_for_request();
  }
  serve(worker, channel);
}

// The kernel gives a new entry of a queue only what is asked for from then on; what waits already goes to entries that hand
// back an answer. So an entry made because requests wait needs one request first: the answer to this notification is one,
// of no bytes of a file. It goes to the queue of the processor that this thread stays on.
void Server::Session::ask_for_request() {
  int tries = kFilesTried;
  for (const uint64_t file : handler_->known_files()) {
    const wire::NotifyRetrieveOut out{
        .unique = wire::kRetrieveUnique + wire::kUniqueStep * retrieves_.fetch_add(1),
        .node = file,
        .offset = 0,
        .size = 0,
        .padding = 0,
    };
    const int error = notify(wire::kNotifyRetrieve, Bytes(reinterpret_cast<const std::byte*>(&out), sizeof(out)), {});
    // ENOENT: the kernel is about to forget it.
    if (error != ENOENT || --tries == 0) return;
  }
}

void Server::Session::serve(Worker& worker, Channel& channel) {
  Placement placement;
  while (!stopping_.load(std::memory_order_relaxed)) {
    worker.pool->idle.fetch_add(1, std::memory_order_relaxed);
    const Channel::Received received = channel.receive();
    stopped_waiting(*worker.pool);
    if (received == Channel::Received::kInterrupted) continue;
    if (received == Channel::Received::kEnded) return end(EndReason::kUnmounted, {});
    if (received == Channel::Received::kFailed) {
      return end(EndReason::kFailed, "reading requests failed with errno " + std::to_string(channel.failure()));
    }
    worker.progress.fetch_add(1, std::memory_order_relaxed);
    if (worker.role != Role::kRing) placement.follow(channel.header());
    Reply reply(channel.header().unique, channel.space(), channel.deferrer(), channel.splicer());
    const bool refused = !accepting_.load(std::memory_order_relaxed) && !hands_over(channel.header().opcode);
    const Outcome outcome =
        refused ? ENOTCONN
                : handle_request(*handler_, connection_, channel.header(), channel.arguments(), reply, worker.counters);
    if (outcome >= 0) channel.send(outcome, reply);
    if (outcome == kNoReply) channel.pass(reply);
    worker.progress.fetch_add(1, std::memory_order_relaxed);
    if (worker.role == Role::kDevice && surplus()) return;
  }
  channel.flush();
}

// When no worker of a pool waits any more, the supervisor watches whether they get stuck.
void Server::Session::stopped_waiting(Pool& pool) {
  if (pool.idle.fetch_sub(1) > 1) return;
  if (watched_.load() || watched_.exchange(true)) return;
  wake_supervisor();
}

void Server::Session::wake_supervisor() {
  alarms_.fetch_add(1);
  alarms_.notify_one();
}

bool Server::Session::surplus() {
  int surplus = surplus_.load(std::memory_order_relaxed);
  while (surplus > 0) {
    if (surplus_.compare_exchange_weak(surplus, surplus - 1)) return true;
  }
  return false;
}

void Server::Session::supervise() {
  block_other_signals();
  pthread_setname_np(pthread_self(), "covault-watch");
  std::unique_lock lock(mutex_);
  int quiet = 0;
  while (state_ == State::kRunning) {
    if (!watched_) {
      const uint32_t alarms = alarms_.load();
      lock.unlock();
      if (!watched_ && !stopping_) alarms_.wait(alarms);
      lock.lock();
      quiet = 0;
      continue;
    }
    bool calm = true;
    for (Pool& pool : pools_) {
      if (grow_if_stuck_locked(pool) || pool.idle.load(std::memory_order_relaxed) <= 0) calm = false;
    }
    quiet = calm ? quiet + 1 : 0;
    if (quiet >= kQuietLooks) {
      watched_ = false;
      // Who stopped waiting just before has seen that it is watched.
      const auto is_busy = [](const Pool& pool) { return pool.idle.load() <= 0; };
      if (std::any_of(pools_.begin(), pools_.end(), is_busy)) watched_ = true;
      const auto is_additional = [](const Worker& worker) { return worker.role == Role::kDevice; };
      const auto additional = std::count_if(workers_.begin(), workers_.end(), is_additional);
      const int kept = rings_ == Rings::kGranted ? 0 : static_cast<int>(threads_min_) - 1;  // and the lead
      surplus_ = std::max(0, static_cast<int>(additional) - kept);
      continue;
    }
    changed_.wait_for(lock, kWatchInterval, [this] { return state_ != State::kRunning; });
  }
  const EndReason reason = end_reason_;
  lock.unlock();
  if (reason != EndReason::kStopped && options_.on_end) options_.on_end(reason);
  lock.lock();
  supervising_ = false;
  changed_.notify_all();
}

// Doubles the workers of a pool if every one of them has been in the same request since the last look.
bool Server::Session::grow_if_stuck_locked(Pool& pool) {
  bool all_stuck = true;
  size_t count = 0;
  for (Worker& worker : workers_) {
    if (worker.pool != &pool) continue;
    count++;
    const uint64_t progress = worker.progress.load(std::memory_order_relaxed);
    if (progress % 2 == 0 || progress != worker.progress_seen) all_stuck = false;
    worker.progress_seen = progress;
  }
  if (!all_stuck || stopping_ || count >= pool.workers_max) return false;
  const bool is_device = &pool == &pools_.front();
  if (is_device) surplus_ = 0;
  for (size_t wanted = std::min(pool.workers_max, count * 2); count < wanted; count++) {
    if (!add_worker_locked(is_device ? Role::kDevice : Role::kRing, pool)) break;
  }
  return true;
}

}  // namespace covault
