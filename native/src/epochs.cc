#include "epochs.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace covault {

namespace {

constexpr size_t kHeldKept = 1000;
constexpr size_t kFailuresKept = 64;

// Ids are those of the process, so that threads find an epoch by its id alone.
std::atomic<uint64_t> next_epoch = 1;

// All that live; a leaf.
std::mutex all_mutex;
std::vector<std::weak_ptr<Epochs>> all_epochs;

int64_t now_ns() {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// While this thread holds up everybody else, nobody should keep it from its processor. Where that is permitted.
class Urgency {
 public:
  Urgency() : thread_(static_cast<id_t>(syscall(SYS_gettid))), before_(getpriority(PRIO_PROCESS, thread_)) {
    setpriority(PRIO_PROCESS, thread_, -15);
  }
  ~Urgency() { setpriority(PRIO_PROCESS, thread_, before_); }

 private:
  const id_t thread_;
  const int before_;
};

uint64_t percentile(const std::vector<uint64_t>& sorted, unsigned percent) {
  return sorted.empty() ? 0 : sorted[(sorted.size() - 1) * percent / 100];
}

std::string why(int error, const char* doing, const EpochOptions& options) {
  if (error == EDQUOT) {
    return "what it keeps of changed files would take more than " + std::to_string(options.space_bytes_max >> 20) +
           " MiB";
  }
  if (error == ENOSPC) return "the file system of the data directory is full";
  if (error == ENOMEM) return "too many files have changed while it was open";
  return std::string(doing) + ": " + strerror(error);
}

}  // namespace

Epochs::Epochs(int directory_fd, uint64_t device, bool handles, EpochOptions options)
    : directory_(fcntl(directory_fd, F_DUPFD_CLOEXEC, 0)),
      device_(device),
      handles_(handles),
      options_(std::move(options)),
      space_(std::make_shared<Space>(options_.space_bytes_max)),
      budget_(std::make_shared<RecordBudget>(options_.memory_bytes_max)) {}

std::shared_ptr<Epochs> Epochs::make(int directory_fd, uint64_t device, bool handles, EpochOptions options) {
  auto made = std::make_shared<Epochs>(directory_fd, device, handles, std::move(options));
  const std::lock_guard lock(all_mutex);
  std::erase_if(all_epochs, [](const auto& each) { return each.expired(); });
  all_epochs.push_back(made);
  return made;
}

std::shared_ptr<Epochs> Epochs::of(uint64_t id) {
  std::vector<std::shared_ptr<Epochs>> alive;
  {
    const std::lock_guard lock(all_mutex);
    for (const auto& each : all_epochs) {
      if (auto epochs = each.lock()) alive.push_back(std::move(epochs));
    }
  }
  for (const auto& epochs : alive) {
    if (!epochs->layers(id).empty()) return epochs;
  }
  return nullptr;
}

OpenedEpoch Epochs::open(const std::function<void()>& at_cut) {
  OpenedEpoch opened;
  std::unique_ptr<Arena> arena = Arena::make(directory_.get(), options_.spare_directory, space_, &opened.error);
  if (arena == nullptr) return opened;
  opened.error = 0;
  opened.id = next_epoch.fetch_add(1);
  const auto layer = std::make_shared<EpochLayer>(opened.id, std::move(arena), budget_);
  const Urgency urgency;
  const Gate::Held held = gate_.alone([&] {
    const std::lock_guard lock(mutex_);
    layers_.push_back(layer);
    open_.push_back({.id = opened.id, .since = std::chrono::steady_clock::now()});
    active_.store(true, std::memory_order_release);
    opened.time_ns = now_ns();
    at_cut();
  });
  opened.held_ns = held.longest_ns;
  opened.attempts = held.attempts;
  if (!held.done) opened.error = EBUSY;
  const std::lock_guard lock(mutex_);
  if (held_ns_.size() < kHeldKept) held_ns_.push_back(0);
  held_ns_[opened_ % kHeldKept] = held.longest_ns;
  opened_++;
  return opened;
}

void Epochs::close(uint64_t id) {
  std::vector<std::shared_ptr<EpochLayer>> dropped;  // outlives the lock: descriptors and memory go with it
  const std::lock_guard lock(mutex_);
  std::erase_if(open_, [id](const OpenEpoch& epoch) { return epoch.id == id; });
  dropped = layers_;
  drop_unneeded_locked();
}

// A layer is needed by its own epoch and by all older ones.
void Epochs::drop_unneeded_locked() {
  const auto is_needed = [this](const std::shared_ptr<EpochLayer>& layer) {
    return std::any_of(open_.begin(), open_.end(), [&](const OpenEpoch& epoch) { return epoch.id <= layer->epoch(); });
  };
  std::erase_if(layers_, [&](const auto& layer) { return !is_needed(layer); });
  if (layers_.empty()) active_.store(false, std::memory_order_release);
}

std::string Epochs::failure(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [failed, reason] : failures_) {
    if (failed == id) return reason;
  }
  const bool is_open = std::any_of(open_.begin(), open_.end(), [id](const OpenEpoch& each) { return each.id == id; });
  return is_open ? std::string() : "it is closed";
}

void Epochs::fail(int error, const char* doing) {
  const std::lock_guard room(room_mutex_);
  std::vector<std::shared_ptr<EpochLayer>> dropped;
  const std::string reason = why(error, doing, options_);
  const std::lock_guard lock(mutex_);
  if (!layers_.empty()) made_room_at_ = std::chrono::steady_clock::now();
  for (const OpenEpoch& epoch : open_) {
    if (failures_.size() >= kFailuresKept) failures_.erase(failures_.begin());
    failures_.emplace_back(epoch.id, reason);
    failed_++;
  }
  open_.clear();
  dropped.swap(layers_);
  active_.store(false, std::memory_order_release);
}

bool Epochs::make_room() {
  if (active() && space_->used() > 0) fail(ENOSPC, "");
  // Also for whoever found the disk full while another thread was about to give room back.
  const std::lock_guard room(room_mutex_);
  return std::chrono::steady_clock::now() - made_room_at_ < std::chrono::seconds(1);
}

EpochStatistics Epochs::statistics() const {
  EpochStatistics result;
  result.space_bytes = space_->used();
  result.space_bytes_max = space_->max();
  result.memory_bytes = budget_->space.used();
  result.kept_descriptors = kept_->load();
  result.waited_max_ns = gate_.longest_wait_ns();
  std::vector<uint64_t> sorted;
  {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    for (const OpenEpoch& epoch : open_) {
      const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - epoch.since).count();
      result.open.push_back({.id = epoch.id, .age_ms = static_cast<uint64_t>(age)});
    }
    result.opened = opened_;
    result.failed = failed_;
    result.shares_blocks = !layers_.empty() && layers_.back()->arena().shares_blocks();
    if (opened_ > 0) result.held_last_ns = held_ns_[(opened_ - 1) % kHeldKept];
    sorted = held_ns_;
  }
  std::sort(sorted.begin(), sorted.end());
  result.held_p50_ns = percentile(sorted, 50);
  result.held_p99_ns = percentile(sorted, 99);
  result.held_max_ns = percentile(sorted, 100);
  return result;
}

std::shared_ptr<EpochLayer> Epochs::newest() const {
  const std::lock_guard lock(mutex_);
  return layers_.empty() ? nullptr : layers_.back();
}

std::vector<std::shared_ptr<EpochLayer>> Epochs::layers(uint64_t id) const {
  std::vector<std::shared_ptr<EpochLayer>> result;
  const std::lock_guard lock(mutex_);
  const bool is_open = std::any_of(open_.begin(), open_.end(), [id](const OpenEpoch& each) { return each.id == id; });
  if (!is_open) return result;
  for (const auto& layer : layers_) {
    if (layer->epoch() >= id) result.push_back(layer);
  }
  return result;
}

}  // namespace covault
