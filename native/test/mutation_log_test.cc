#include "mutation_log.h"

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <map>
#include <string>
#include <thread>

#include "check.h"

using namespace covault;

namespace {

using Layout = MutationLayout;

constexpr uint64_t kRoot = 2;

struct Seen {
  MutationKind kind;
  uint64_t inode;
  uint64_t first = 0;
  uint64_t sequence = 0;  // of its batch
};

template <typename T>
T read_at(const std::vector<uint8_t>& bytes, size_t position) {
  T value;
  std::memcpy(&value, bytes.data() + position, sizeof value);
  return value;
}

bool has_first(MutationKind kind) {
  return kind == MutationKind::kContent || kind == MutationKind::kTruncate || kind == MutationKind::kCreate;
}

// Records of a batch of the kinds used here.
void decode(const std::vector<uint8_t>& batch, std::vector<Seen>* seen) {
  const auto sequence = read_at<uint64_t>(batch, Layout::kBatchSequence);
  const auto count = read_at<uint32_t>(batch, Layout::kBatchCount);
  size_t position = Layout::kBatchHeaderBytes;
  for (uint32_t i = 0; i < count; i++) {
    const auto kind = static_cast<MutationKind>(batch[position + Layout::kKind]);
    const auto name_bytes = read_at<uint16_t>(batch, position + Layout::kNameBytes);
    Seen one = {.kind = kind, .inode = read_at<uint64_t>(batch, position + Layout::kInode), .sequence = sequence};
    size_t bytes = Layout::kRecordHeaderBytes;
    if (has_first(kind)) {
      one.first = read_at<uint64_t>(batch, position + Layout::kFirst);
      bytes = (kind == MutationKind::kContent ? Layout::kNameAfterSecond : Layout::kNameAfterFirst) + name_bytes;
    }
    seen->push_back(one);
    position += (bytes + Layout::kAlignment - 1) / Layout::kAlignment * Layout::kAlignment;
  }
  CHECK(position == batch.size());
}

// Takes batches whenever the log wakes it, until everything up to a sequence number has come.
class Consumer {
 public:
  explicit Consumer(MutationLog* log) : log_(log) {
    log_->set_waker([this] {
      std::lock_guard lock(mutex_);
      woken_ = true;
      wake_.notify_one();
    });
    thread_ = std::thread([this] { run(); });
  }

  std::vector<Seen> finish() {
    {
      std::lock_guard lock(mutex_);
      goal_ = log_->mark();
      wake_.notify_one();
    }
    thread_.join();
    log_->set_waker({});
    return std::move(seen_);
  }

 private:
  void run() {
    uint64_t reached = 0;
    while (true) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return woken_ || reached >= goal_; });
        if (reached >= goal_) return;
        woken_ = false;
      }
      std::vector<uint8_t> batch;
      while (log_->take(&batch)) {
        decode(batch, &seen_);
        CHECK(read_at<uint64_t>(batch, Layout::kBatchSequence) > reached);
        reached = read_at<uint64_t>(batch, Layout::kBatchSequence);
      }
    }
  }

  MutationLog* const log_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false;
  uint64_t goal_ = UINT64_MAX;
  std::vector<Seen> seen_;
  std::thread thread_;
};

void run_writers(int count, const std::function<void(int)>& write) {
  std::vector<std::thread> writers;
  for (int i = 0; i < count; i++) writers.emplace_back(write, i);
  for (std::thread& writer : writers) writer.join();
}

constexpr int kWriters = 4;
constexpr uint64_t kReports = 20'000;

}  // namespace

TEST("each writer's mutations come out in its order, none lost, and no wake-up is missed") {
  MutationLog log({.root_inode = kRoot});
  Consumer consumer(&log);
  run_writers(kWriters, [&](int writer) {
    for (uint64_t i = 1; i <= kReports; i++) log.create(1000 + writer, i, "name " + std::to_string(i));
  });
  std::map<uint64_t, uint64_t> last;
  for (const Seen& one : consumer.finish()) {
    CHECK(one.kind == MutationKind::kCreate);
    CHECK(one.first == last[one.inode] + 1);
    last[one.inode] = one.first;
  }
  for (int writer = 0; writer < kWriters; writer++) CHECK(last[1000 + writer] == kReports);
}

TEST("a log that is always full loses nothing") {
  MutationLog log({.root_inode = kRoot, .chunk_bytes = 256, .chunks_max = 2, .coarse_records_max = 16});
  Consumer consumer(&log);
  std::vector<uint64_t> before(kWriters * kReports);
  run_writers(kWriters, [&](int writer) {
    for (uint64_t i = 0; i < kReports; i++) {
      const uint64_t inode = writer * kReports + i;
      before[inode] = log.mark();
      log.attributes(10 + inode);
    }
  });
  const std::vector<Seen> seen = consumer.finish();
  std::vector<bool> named(before.size());
  std::vector<uint64_t> everything;
  for (const Seen& one : seen) {
    if (one.kind == MutationKind::kSubtree && one.inode == kRoot) everything.push_back(one.sequence);
    if (one.inode >= 10) named[one.inode - 10] = true;
  }
  uint64_t lost = 0;
  for (size_t i = 0; i < named.size(); i++) {
    bool covered = named[i];
    for (auto at = everything.rbegin(); !covered && at != everything.rend() && *at > before[i]; ++at) covered = true;
    lost += covered ? 0 : 1;
  }
  CHECK(lost == 0);
  CHECK(log.statistics().accepted == kWriters * kReports);
}

TEST("memory stays within bounds while nobody takes") {
  MutationLog log({.root_inode = kRoot, .chunk_bytes = 4096, .chunks_max = 4, .coarse_records_max = 100});
  for (uint64_t i = 0; i < 100'000; i++) log.create(10 + i, kRoot + 1, "a name of some length");
  CHECK(log.statistics().bytes_waiting <= 4 * 4096);
  std::vector<Seen> seen;
  std::vector<uint8_t> batch;
  uint64_t bytes = 0;
  while (log.take(&batch)) {
    bytes += batch.size();
    decode(batch, &seen);
  }
  CHECK(bytes <= 4 * 4096 + 16 + 100 * 16);
  CHECK(seen.back().kind == MutationKind::kSubtree && seen.back().inode == kRoot);
  CHECK(seen.back().sequence == 100'000);
}

TEST("ranges of interleaved writers are joined, each inode for itself") {
  MutationLog log({.root_inode = kRoot});
  for (uint64_t i = 0; i < 100; i++) {
    for (uint64_t inode = 10; inode < 14; inode++) log.content(inode, i * 4096, 4096);
  }
  std::vector<uint8_t> batch;
  std::vector<Seen> seen;
  CHECK(log.take(&batch));
  decode(batch, &seen);
  CHECK(seen.size() == 4);
  CHECK(log.statistics().folded == 396);
  CHECK(!log.take(&batch));
}

TEST("a range at the end of what can be counted does not wrap") {
  MutationLog log({.root_inode = kRoot});
  log.content(10, UINT64_MAX - 10, 10);
  log.content(10, UINT64_MAX - 5, 100);
  std::vector<uint8_t> batch;
  CHECK(log.take(&batch));
  const size_t record = Layout::kBatchHeaderBytes;
  CHECK(read_at<uint64_t>(batch, record + Layout::kFirst) == UINT64_MAX - 10);
  CHECK(read_at<uint64_t>(batch, record + Layout::kSecond) == 10);
}

TEST("after set_waker returned, the former waker is not running") {
  MutationLog log({.root_inode = kRoot});
  std::atomic<bool> over = false;
  std::thread writer([&] {
    for (uint64_t i = 0; !over; i++) log.attributes(i);
  });
  std::vector<uint8_t> batch;
  for (int i = 0; i < 200; i++) {
    auto alive = std::make_unique<std::atomic<int>>(0);
    log.set_waker([counter = alive.get()] { counter->fetch_add(1); });
    while (log.take(&batch)) {
    }
    log.set_waker({});
    alive.reset();  // a waker that still ran would touch freed memory (AddressSanitizer)
  }
  over = true;
  writer.join();
}
