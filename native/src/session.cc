#include "session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

namespace covault {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSignalInterval{5};
// How long stop() waits for requests that the file system below does not finish.
constexpr milliseconds kStopPatience{15000};

// Between the kernel's question for attributes and the write for which it asked, on a busy machine.
constexpr milliseconds kWriteDelay{50};

// Threads for each queue of the ring to start with, and at most; the latter, as far as all queues together stay below a
// bound.
constexpr unsigned kRingWorkersPerQueue = 2;
constexpr unsigned kRingWorkersPerQueueMax = 32;
constexpr unsigned kRingWorkersMax = 64;

// Looks for a place to write out, a millisecond apart.
constexpr int kWriteOutLooks = 100;

void install_session_wake_signal() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigemptyset(&action.sa_mask);
  sigaction(session_wake_signal(), &action, nullptr);  // without SA_RESTART: read(2) must return
}

unsigned default_threads() { return std::max(2u, std::thread::hardware_concurrency()); }

}  // namespace

// Real-time signals are not used by anything else here, and the handler does nothing.
int session_wake_signal() { return SIGRTMIN + 5; }

Server::Session::Session(ServerOptions options, std::shared_ptr<Handler> handler)
    : options_(std::move(options)),
      handler_(std::move(handler)),
      threads_min_(options_.threads_min != 0 ? options_.threads_min : default_threads()),
      device_(std::make_shared<FileDescriptor>(options_.fuse_fd)) {
  threads_min_ = std::min(threads_min_, std::max(1u, options_.threads_max));
  pools_.emplace_back(0, options_.threads_max);
}

std::string Server::Session::start() {
  install_session_wake_signal();
  // The descriptor may come from a helper that opened it non-blocking; a waiting thread must wait.
  const int flags = fcntl(device_->get(), F_GETFL);
  if (flags < 0) return "the descriptor of the mount is not open";
  if ((flags & O_NONBLOCK) != 0) fcntl(device_->get(), F_SETFL, flags & ~O_NONBLOCK);

  std::unique_lock lock(mutex_);
  state_ = State::kStarting;
  if (!add_worker_locked(Role::kLead, pools_.front())) return "no thread could be made";
  const bool told =
      changed_.wait_for(lock, milliseconds(options_.init_timeout_ms), [this] { return state_ != State::kStarting; });
  if (!told) {
    lock.unlock();
    stop();
    return "the kernel did not start the session (is the mount made with this descriptor?)";
  }
  if (state_ != State::kRunning) return failure_.empty() ? "the session ended while it started" : failure_;
  if (rings_ != Rings::kGranted) {
    while (workers_.size() < threads_min_ && add_worker_locked(Role::kDevice, pools_.front())) continue;
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
    for (const Worker& worker : workers_) pthread_kill(worker.thread, session_wake_signal());
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
  const unsigned queues = uring_queues();
  if (queues == 0 || queues * kRingWorkersPerQueue > kRingWorkersMax) return false;
  rings_ = Rings::kOpening;
  ring_workers_max_ = std::min(kRingWorkersPerQueueMax, kRingWorkersMax / queues);
  for (unsigned queue = 0; queue < queues; queue++) pools_.emplace_back(queue, ring_workers_max_);
  for (unsigned i = 0; i < queues * kRingWorkersPerQueue && !rings_failed_; i++) {
    if (add_worker_locked(Role::kRing, pools_[1 + i % queues])) {
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
  // Half of the workers that there can be stay free for the WRITEs, also if all that wait are in one pool.
  write_outs_max_ = (granted ? ring_workers_max_ : options_.threads_max) / 2;
  if (state_ == State::kStarting) state_ = State::kRunning;
  changed_.notify_all();
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
