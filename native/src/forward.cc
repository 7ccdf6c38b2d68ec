#include "forward.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "forward_encoding.h"

namespace covault {

namespace {

constexpr std::chrono::seconds kRoomInterval{1};

class ForwardHandler final : public Handler {
 public:
  explicit ForwardHandler(std::shared_ptr<ForwardQueue> queue) : queue_(std::move(queue)) {}

  bool answers_later() const override { return true; }

  Outcome lookup(const Request& request, std::string_view name, Reply& reply) override {
    return queue_->put({.operation = ForwardOperation::kLookup, .node = request.node, .name = std::string(name)},
                       reply);
  }
  Outcome getattr(const Request& request, const wire::GetattrIn&, Reply& reply) override {
    return queue_->put({.operation = ForwardOperation::kAttributes, .node = request.node}, reply);
  }
  Outcome readlink(const Request& request, Reply& reply) override {
    return queue_->put({.operation = ForwardOperation::kReadLink, .node = request.node}, reply);
  }
  Outcome read(const Request& request, const wire::ReadIn& in, Reply& reply) override {
    return queue_->put(
        {.operation = ForwardOperation::kRead, .node = request.node, .offset = in.offset, .size = in.size}, reply);
  }
  Outcome getxattr(const Request& request, const wire::GetxattrIn& in, const char* name, Reply& reply) override {
    return queue_->put({.operation = ForwardOperation::kGetXattr, .node = request.node, .size = in.size, .name = name},
                       reply);
  }
  Outcome listxattr(const Request& request, const wire::GetxattrIn& in, Reply& reply) override {
    return queue_->put({.operation = ForwardOperation::kListXattrs, .node = request.node, .size = in.size}, reply);
  }

  // Content behind a node number never changes, so that pages stay valid from one open to the next.
  Outcome open(const Request&, const wire::OpenIn& in, Reply& reply) override {
    if ((in.flags & O_ACCMODE) != O_RDONLY || (in.flags & O_TRUNC) != 0) return EROFS;
    reply.put(wire::OpenOut{.handle = 0, .open_flags = wire::kOpenKeepCache | wire::kOpenNoFlush, .backing_id = 0});
    return 0;
  }
  Outcome release(const Request&, const wire::ReleaseIn&, Reply&) override { return 0; }
  Outcome flush(const Request&, const wire::FlushIn&, Reply&) override { return 0; }
  Outcome fsync(const Request&, const wire::FsyncIn&, Reply&) override { return 0; }

  Outcome opendir(const Request&, const wire::OpenIn&, Reply& reply) override {
    reply.put(wire::OpenOut{.handle = ++handle_last_, .open_flags = 0, .backing_id = 0});
    return 0;
  }
  Outcome readdir(const Request& request, const wire::ReadIn& in, Reply& reply) override {
    return read_directory(ForwardOperation::kReadDirectory, request, in, reply);
  }
  Outcome readdirplus(const Request& request, const wire::ReadIn& in, Reply& reply) override {
    return read_directory(ForwardOperation::kReadDirectoryPlus, request, in, reply);
  }
  Outcome releasedir(const Request& request, const wire::ReleaseIn& in, Reply&) override {
    queue_->notify({.operation = ForwardOperation::kReleaseDirectory, .node = request.node, .handle = in.handle});
    return 0;
  }
  Outcome fsyncdir(const Request&, const wire::FsyncIn&, Reply&) override { return 0; }

  // A sealed tree has no room and nobody needs to know its size: all zeros, but for what programs divide by.
  Outcome statfs(const Request&, Reply& reply) override {
    wire::StatfsOut out = {};
    out.block_bytes = wire::kPageBytes;
    out.fragment_bytes = wire::kPageBytes;
    out.name_bytes_max = 255;
    reply.put(out);
    return 0;
  }

  Outcome symlink(const Request&, std::string_view, std::string_view, Reply&) override { return EROFS; }
  Outcome mknod(const Request&, const wire::MknodIn&, std::string_view, Reply&) override { return EROFS; }
  Outcome mkdir(const Request&, const wire::MkdirIn&, std::string_view, Reply&) override { return EROFS; }
  Outcome unlink(const Request&, std::string_view, Reply&) override { return EROFS; }
  Outcome rmdir(const Request&, std::string_view, Reply&) override { return EROFS; }
  Outcome rename(const Request&, std::string_view, uint64_t, std::string_view, uint32_t, Reply&) override {
    return EROFS;
  }
  Outcome link(const Request&, uint64_t, std::string_view, Reply&) override { return EROFS; }
  Outcome create(const Request&, const wire::CreateIn&, std::string_view, Reply&) override { return EROFS; }
  Outcome tmpfile(const Request&, const wire::CreateIn&, Reply&) override { return EROFS; }
  Outcome setattr(const Request&, const wire::SetattrIn&, Reply&) override { return EROFS; }
  Outcome setxattr(const Request&, const wire::SetxattrIn&, const char*, Bytes, Reply&) override { return EROFS; }
  Outcome removexattr(const Request&, const char*, Reply&) override { return EROFS; }
  Outcome write(const Request&, const wire::WriteIn&, Bytes, Reply&) override { return EROFS; }
  Outcome fallocate(const Request&, const wire::FallocateIn&, Reply&) override { return EROFS; }
  Outcome copy_file_range(const Request&, const wire::CopyFileRangeIn&, bool, Reply&) override { return EROFS; }

 private:
  Outcome read_directory(ForwardOperation operation, const Request& request, const wire::ReadIn& in, Reply& reply) {
    return queue_->put(
        {.operation = operation, .node = request.node, .handle = in.handle, .offset = in.offset, .size = in.size},
        reply);
  }

  const std::shared_ptr<ForwardQueue> queue_;
  std::atomic<uint64_t> handle_last_ = 0;
};

}  // namespace

std::shared_ptr<Handler> make_forward_handler(std::shared_ptr<ForwardQueue> queue) {
  return std::make_shared<ForwardHandler>(std::move(queue));
}

void ForwardQueue::set_waker(std::function<void()> waker) {
  std::lock_guard lock(waker_mutex_);
  waker_ = std::move(waker);
}

std::vector<ForwardRequest> ForwardQueue::take() {
  std::lock_guard lock(mutex_);
  std::vector<ForwardRequest> requests;
  requests.swap(waiting_);
  if (requests.empty()) armed_ = true;
  return requests;
}

Outcome ForwardQueue::put(ForwardRequest request, Reply& reply) {
  bool wake_needed;
  {
    std::unique_lock lock(mutex_);
    // Looks by itself, too: some versions of the C library lose the wake-up of one among several (its bug 25847).
    while (!room_.wait_for(lock, kRoomInterval, [this] { return closed_ || pending_.size() < in_flight_max_; })) {
    }
    if (closed_) return EIO;
    std::unique_ptr<DeferredReply> later = reply.defer();
    if (later == nullptr) return EIO;
    request.id = ++id_last_;
    pending_.emplace(request.id,
                     Pending{.operation = request.operation, .size = request.size, .reply = std::move(later)});
    waiting_.push_back(std::move(request));
    wake_needed = armed_;
    armed_ = false;
  }
  if (wake_needed) wake();
  return kDeferred;
}

void ForwardQueue::notify(ForwardRequest request) {
  bool wake_needed;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    waiting_.push_back(std::move(request));
    wake_needed = armed_;
    armed_ = false;
  }
  if (wake_needed) wake();
}

void ForwardQueue::wake() {
  std::lock_guard lock(waker_mutex_);
  if (waker_) waker_();
}

void ForwardQueue::answer(uint64_t id, int error, Bytes payload) {
  Pending pending;
  {
    std::lock_guard lock(mutex_);
    const auto found = pending_.find(id);
    if (found == pending_.end()) return;
    pending = std::move(found->second);
    pending_.erase(found);
  }
  room_.notify_one();
  send_answer(pending.operation, pending.size, error, payload, *pending.reply);
}

void ForwardQueue::close() {
  std::unordered_map<uint64_t, Pending> pending;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    pending.swap(pending_);
    waiting_.clear();
  }
  room_.notify_all();
  for (auto& [id, one] : pending) one.reply->error(EIO);
}

}  // namespace covault
