#include "session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "negotiation.h"

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
  if (!add_worker_locked(true)) return "no thread could be made";
  const bool told =
      changed_.wait_for(lock, milliseconds(options_.init_timeout_ms), [this] { return state_ != State::kStarting; });
  if (!told) {
    lock.unlock();
    stop();
    return "the kernel did not start the session (is the mount made with this descriptor?)";
  }
  if (state_ != State::kRunning) return failure_.empty() ? "the session ended while it started" : failure_;
  while (workers_.size() < threads_min_ && add_worker_locked(false)) continue;
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

// False if the system has no thread left.
bool Server::Session::add_worker_locked(bool lead) {
  struct Start {
    std::shared_ptr<Session> session;
    WorkerIterator worker;
    bool lead;
  };
  workers_.emplace_back();
  const WorkerIterator worker = std::prev(workers_.end());
  auto start = std::make_unique<Start>(Start{shared_from_this(), worker, lead});
  const auto run = [](void* argument) -> void* {
    const std::unique_ptr<Start> start(static_cast<Start*>(argument));
    start->session->run_worker(start->worker, start->lead);
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

void Server::Session::run_worker(WorkerIterator worker, bool lead) {
  block_other_signals();
  pthread_setname_np(pthread_self(), "covault-fuse");
  {
    SharedDescriptor device;
    {
      const std::lock_guard lock(mutex_);
      device = device_;
    }
    handler_->thread_starts();
    if (device != nullptr) {
      DeviceChannel channel(lead ? device : DeviceChannel::clone(device), handler_->wishes().write_bytes_max);
      serve(*worker, channel, lead);
    }
    handler_->thread_ends();
  }
  const std::lock_guard lock(mutex_);
  worker->counters.add_to(ended_workers_);
  workers_.erase(worker);
  changed_.notify_all();
}

void Server::Session::serve(Worker& worker, DeviceChannel& channel, bool lead) {
  if (lead && !answer_init(channel)) return;
  while (!stopping_.load(std::memory_order_relaxed)) {
    idle_.fetch_add(1, std::memory_order_relaxed);
    const DeviceChannel::Received received = channel.receive();
    request_taken();
    if (received == DeviceChannel::Received::kInterrupted) continue;
    if (received == DeviceChannel::Received::kEnded) return end(EndReason::kUnmounted, {});
    if (received == DeviceChannel::Received::kFailed) {
      return end(EndReason::kFailed, "reading requests failed with errno " + std::to_string(channel.failure()));
    }
    worker.progress.fetch_add(1, std::memory_order_relaxed);
    Reply reply(channel.header().unique, channel.space(), &channel);
    const Outcome outcome =
        handle_request(*handler_, connection_, channel.header(), channel.arguments(), reply, worker.counters);
    if (outcome >= 0) channel.send(outcome, reply);
    worker.progress.fetch_add(1, std::memory_order_relaxed);
    if (!lead && surplus()) return;
  }
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
    const Negotiated negotiated = negotiate(in, handler_->wishes(), false);
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
    handler_->connected(negotiated.connection);
    reply.put(negotiated.out);
    channel.send(0, reply);
    const std::lock_guard lock(mutex_);
    if (state_ == State::kStarting) state_ = State::kRunning;
    changed_.notify_all();
    return true;
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
    const size_t before = workers_.size();
    grow_if_stuck_locked();
    quiet = workers_.size() > before || idle_.load(std::memory_order_relaxed) <= 0 ? 0 : quiet + 1;
    if (quiet >= kQuietLooks) {
      watched_ = false;
      surplus_ = std::max(0, static_cast<int>(workers_.size()) - static_cast<int>(threads_min_));
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

// Doubles the workers if every one of them has been in the same request since the last look.
void Server::Session::grow_if_stuck_locked() {
  bool all_stuck = true;
  for (Worker& worker : workers_) {
    const uint64_t progress = worker.progress.load(std::memory_order_relaxed);
    if (progress % 2 == 0 || progress != worker.progress_seen) all_stuck = false;
    worker.progress_seen = progress;
  }
  if (!all_stuck || stopping_) return;
  surplus_ = 0;
  const size_t wanted = std::min<size_t>(options_.threads_max, workers_.size() * 2);
  while (workers_.size() < wanted && add_worker_locked(false)) continue;
}

void Server::Session::end(EndReason reason, std::string failure) {
  const std::lock_guard lock(mutex_);
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  stopping_ = true;
  end_reason_ = reason;
  failure_ = std::move(failure);
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
