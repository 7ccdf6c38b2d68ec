#include "session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "placement.h"

namespace covault {

namespace {

using std::chrono::milliseconds;

// How often the supervisor looks while all threads are busy; a request slower than this counts as stuck.
constexpr milliseconds kWatchInterval{4};
// Looks without a stuck thread after which the supervisor goes to sleep and additional threads may end.
constexpr int kQuietLooks = 50;
constexpr milliseconds kSignalInterval{5};
// How long stop() waits for requests that the file system below does not finish.
constexpr milliseconds kStopPatience{15000};

// Between the kernel's question for attributes and the write for which it asked, on a busy machine.
constexpr milliseconds kWriteDelay{50};

// Threads for each queue of the ring to start with, and for all queues together at most.
constexpr unsigned kRingWorkersPerQueue = 2;
constexpr unsigned kRingWorkersMax = 64;

// Looks for a place to write out, a millisecond apart.
constexpr int kWriteOutLooks = 100;

// Interrupts read(2) on the device in transport threads. Real-time signals are not used by anything else here, and the
// handler does nothing.
int wake_signal() { return SIGRTMIN + 5; }

void install_wake_signal() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigemptyset(&action.sa_mask);
  sigaction(wake_signal(), &action, nullptr);  // without SA_RESTART: read(2) must return
}

void block_other_signals() {
  sigset_t signals;
  sigfillset(&signals);
  sigdelset(&signals, wake_signal());
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

unsigned default_threads() { return std::max(2u, std::thread::hardware_concurrency()); }

}  // namespace

Server::Session::Session(ServerOptions options, std::shared_ptr<Handler> handler)
    : options_(std::move(options)),
      handler_(std::move(handler)),
      threads_min_(options_.threads_min != 0 ? options_.threads_min : default_threads()),
      device_(std::make_shared<FileDescriptor>(options_.fuse_fd)) {
  threads_min_ = std::min(threads_min_, std::max(1u, options_.threads_max));
}

std::string Server::Session::start() {
  install_wake_signal();
  // The descriptor may come from a helper that opened it non-blocking; a waiting thread must wait.
  const int flags = fcntl(device_->get(), F_GETFL);
  if (flags < 0) return "the descriptor of the mount is not open";
  if ((flags & O_NONBLOCK) != 0) fcntl(device_->get(), F_SETFL, flags & ~O_NONBLOCK);

  std::unique_lock lock(mutex_);
  state_ = State::kStarting;
  if (!add_worker_locked(Role::kLead, 0)) return "no thread could be made";
  const bool told =
      changed_.wait_for(lock, milliseconds(options_.init_timeout_ms), [this] { return state_ != State::kStarting; });
  if (!told) {
    lock.unlock();
    stop();
    return "the kernel did not start the session (is the mount made with this descriptor?)";
  }
  if (state_ != State::kRunning) return failure_.empty() ? "the session ended while it started" : failure_;
  if (rings_ != Rings::kGranted) {
    while (workers_.size() < threads_min_ && add_worker_locked(Role::kDevice, 0)) continue;
  }
  supervising_ = true;
  std::thread([self = shared_from_this()] { self->supervise(); }).detach();
  return {};
}

void Server::Session::stop() {
  stopping_ = true;
  end(EndReason::kStopped, {});
  std::unique_lock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + kStopPatience;
  while (!workers_.empty() || supervising_) {
    // A signal that arrives just before the thread enters read(2) has no effect, hence again and again.
    for (const Worker& worker : workers_) pthread_kill(worker.thread, wake_signal());
    changed_.wait_for(lock, kSignalInterval);
    if (std::chrono::steady_clock::now() > deadline) {
      failure_ = "requests were given up that the data directory did not finish";
      break;
    }
  }
  device_.reset();
}

void Server::Session::finish_writes() {
  accepting_ = false;
  const std::vector<uint64_t> files = handler_->known_files();
  // All of them before the first is written out: what is accepted until then is written out too.
  for (const uint64_t node : files) attributes_changed(node);
  for (const uint64_t node : files) invalidate(node, 0, 0);
  // Whoever had asked for attributes just before writes a moment later.
  std::this_thread::sleep_for(kWriteDelay);
  for (const uint64_t node : files) invalidate(node, 0, 0);
}

// False if the system has no thread left.
bool Server::Session::add_worker_locked(Role role, unsigned queue) {
  struct Start {
    std::shared_ptr<Session> session;
    WorkerIterator worker;
  };
  workers_.emplace_back();
  const WorkerIterator worker = std::prev(workers_.end());
  worker->role = role;
  worker->queue = queue;
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
  UringChannel channel(device, worker.queue, handler_->wishes().write_bytes_max);
  const int error = channel.open();
  {
    std::unique_lock lock(mutex_);
    if (rings_ == Rings::kOpening) {
      if (error != 0) rings_failed_ = true;
      rings_pending_--;
      changed_.notify_all();
      changed_.wait(lock, [this] { return rings_ != Rings::kOpening; });
    }
    if (rings_ != Rings::kGranted || error != 0) return;
  }
  channel.enlist();
  serve(worker, channel);
}

void Server::Session::serve(Worker& worker, Channel& channel) {
  Placement placement;
  if (worker.role == Role::kRing) Placement::stay_on(worker.queue);
  while (!stopping_.load(std::memory_order_relaxed)) {
    idle_.fetch_add(1, std::memory_order_relaxed);
    const Channel::Received received = channel.receive();
    request_taken();
    if (received == Channel::Received::kInterrupted) continue;
    if (received == Channel::Received::kEnded) return end(EndReason::kUnmounted, {});
    if (received == Channel::Received::kFailed) {
      return end(EndReason::kFailed, "reading requests failed with errno " + std::to_string(channel.failure()));
    }
    worker.progress.fetch_add(1, std::memory_order_relaxed);
    if (worker.role != Role::kRing) placement.follow(channel.header());
    Reply reply(channel.header().unique, channel.space(), channel.deferrer());
    const bool refused = !accepting_.load(std::memory_order_relaxed) && !hands_over(channel.header().opcode);
    const Outcome outcome =
        refused ? ENOTCONN
                : handle_request(*handler_, connection_, channel.header(), channel.arguments(), reply, worker.counters);
    if (outcome >= 0) channel.send(outcome, reply);
    worker.progress.fetch_add(1, std::memory_order_relaxed);
    if (worker.role == Role::kDevice && surplus()) return;
  }
  channel.flush();
}

// A worker stops waiting. When none waits any more, the supervisor watches whether they get stuck.
void Server::Session::request_taken() {
  if (idle_.fetch_sub(1, std::memory_order_relaxed) > 1) return;
  if (watched_.load(std::memory_order_relaxed) || watched_.exchange(true)) return;
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

bool Server::Session::answer_init(DeviceChannel& channel) {
  while (!stopping_) {
    switch (channel.receive()) {
      case DeviceChannel::Received::kInterrupted:
        continue;
      case DeviceChannel::Received::kEnded:
        end(EndReason::kUnmounted, "the mount went away before it was served");
        return false;
      case DeviceChannel::Received::kFailed:
        end(EndReason::kFailed, "the first request could not be read: errno " + std::to_string(channel.failure()));
        return false;
      case DeviceChannel::Received::kRequest:
        break;
    }
    Reply reply(channel.header().unique, channel.space(), &channel);
    wire::InitIn in;
    if (channel.header().opcode != wire::kInit || !decode_init(channel.arguments(), &in)) {
      channel.send(EIO, reply);
      continue;
    }
    const Negotiated negotiated = negotiate(in, handler_->wishes(), open_rings());
    if (negotiated.error != 0) {
      channel.send(negotiated.error, reply);
      end(EndReason::kFailed, "the kernel speaks FUSE " + std::to_string(in.major) + "." + std::to_string(in.minor) +
                                  "; 7.31 (Linux 5.4) or newer is needed");
      return false;
    }
    {
      const std::lock_guard lock(mutex_);
      connection_ = negotiated.connection;
    }
    handler_->connected(negotiated.connection, *this);
    reply.put(negotiated.out);
    channel.send(0, reply);
    started(negotiated);
    return true;
  }
  return false;
}

// Makes the ring workers and waits until each has its ring: what was agreed on with the kernel must not fail later,
// because it holds back every request until all queues have an entry. False: use /dev/fuse.
bool Server::Session::open_rings() {
  if (options_.transport == Transport::kDevice || handler_->answers_later()) return false;
  std::unique_lock lock(mutex_);
  queues_ = uring_queues();
  if (queues_ == 0 || queues_ * kRingWorkersPerQueue > kRingWorkersMax) return false;
  rings_ = Rings::kOpening;
  for (unsigned i = 0; i < queues_ * kRingWorkersPerQueue && !rings_failed_; i++) {
    if (add_worker_locked(Role::kRing, i % queues_)) {
      rings_pending_++;
    } else {
      rings_failed_ = true;
    }
  }
  changed_.wait(lock, [this] { return rings_pending_ == 0; });
  return !rings_failed_;
}

void Server::Session::started(const Negotiated& negotiated) {
  const std::lock_guard lock(mutex_);
  const bool granted = (negotiated.connection.flags & wire::kInitOverIoUring) != 0;
  if (rings_ == Rings::kOpening) rings_ = granted ? Rings::kGranted : Rings::kRefused;
  if (granted) transport_ = Transport::kIoUring;
  // Of the workers of /dev/fuse half of those that there can be stay free for the WRITEs. An entry of a ring that is made
  // later does not get what waits already, so one of each queue's first entries must stay.
  write_outs_max_ = granted ? kRingWorkersPerQueue - 1 : options_.threads_max / 2;
  if (state_ == State::kStarting) state_ = State::kRunning;
  changed_.notify_all();
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
    bool grown = grow_if_stuck_locked(Role::kDevice, 0, options_.threads_max);
    for (unsigned queue = 0; rings_ == Rings::kGranted && queue < queues_; queue++) {
      grown |= grow_if_stuck_locked(Role::kRing, queue, kRingWorkersMax / queues_);
    }
    quiet = grown || idle_.load(std::memory_order_relaxed) <= 0 ? 0 : quiet + 1;
    if (quiet >= kQuietLooks) {
      watched_ = false;
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

// Doubles the workers of one kind if every one of them has been in the same request since the last look.
bool Server::Session::grow_if_stuck_locked(Role role, unsigned queue, size_t most) {
  bool all_stuck = true;
  size_t count = 0;
  for (Worker& worker : workers_) {
    const Role kind = worker.role == Role::kLead ? Role::kDevice : worker.role;
    if (kind != role || worker.queue != queue) continue;
    count++;
    const uint64_t progress = worker.progress.load(std::memory_order_relaxed);
    if (progress % 2 == 0 || progress != worker.progress_seen) all_stuck = false;
    worker.progress_seen = progress;
  }
  if (!all_stuck || stopping_ || count >= most) return false;
  if (role == Role::kDevice) surplus_ = 0;
  for (size_t wanted = std::min(most, count * 2); count < wanted; count++) {
    if (!add_worker_locked(role, queue)) break;
  }
  return true;
}

void Server::Session::end(EndReason reason, std::string failure) {
  const std::lock_guard lock(mutex_);
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  stopping_ = true;
  end_reason_ = reason;
  failure_ = std::move(failure);
  if (rings_ == Rings::kOpening) rings_ = Rings::kRefused;
  changed_.notify_all();
  wake_supervisor();
}

ServerStatistics Server::Session::statistics() const {
  const std::lock_guard lock(mutex_);
  ServerStatistics sum = ended_workers_;
  for (const Worker& worker : workers_) worker.counters.add_to(sum);
  sum.threads = static_cast<unsigned>(workers_.size());
  sum.threads_peak = threads_peak_;
  return sum;
}

std::string Server::Session::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

Connection Server::Session::connection() const {
  const std::lock_guard lock(mutex_);
  return connection_;
}

// Without pages (a negative offset) the kernel takes no lock that a request could hold.
void Server::Session::attributes_changed(uint64_t node) { invalidate(node, -1, 0); }

int Server::Session::invalidate(uint64_t node, int64_t offset, int64_t length) {
  const wire::NotifyInvalidateInodeOut out{.node = node, .offset = offset, .length = length};
  return notify(wire::kNotifyInvalidateInode, Bytes(reinterpret_cast<const std::byte*>(&out), sizeof(out)), {});
}

// Waits for a moment only: who waits here may be whom the others wait for.
bool Server::Session::enter_write_out() {
  for (int i = 0; i < kWriteOutLooks; i++) {
    unsigned under_way = write_outs_.load();
    while (under_way < write_outs_max_) {
      if (write_outs_.compare_exchange_weak(under_way, under_way + 1)) return true;
    }
    std::this_thread::sleep_for(milliseconds(1));
  }
  return false;
}

bool Server::Session::write_out(uint64_t node, off_t offset, off_t length) {
  if (!enter_write_out()) return false;
  const int error = invalidate(node, offset, length);
  write_outs_.fetch_sub(1);
  return error == 0 || error == ENOENT;  // a node that the kernel has no inode for has no pages
}

int Server::Session::notify(int32_t code, Bytes fixed, Bytes bytes) {
  SharedDescriptor device;
  {
    const std::lock_guard lock(mutex_);
    device = device_;
  }
  if (device == nullptr) return ENOTCONN;
  return write_notification(device->get(), code, fixed, bytes);
}

}  // namespace covault
