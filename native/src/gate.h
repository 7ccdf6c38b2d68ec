// The gate through which every change goes: open nearly always, closed for a moment when a cut is made, so that each
// change is wholly before the cut or wholly after it.
//
// Passing costs two additions to a counter that few threads share. Whoever closes the gate waits for the changes under
// way; a change that hangs on a slow disk must not hold up all others meanwhile, so the gate opens again after a few
// milliseconds and is closed anew a little later, when that change may be done. Where changes are always slow, patience
// grows, and ends.
#ifndef COVAULT_GATE_H_
#define COVAULT_GATE_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>

namespace covault {

class Gate {
 public:
  using Clock = std::chrono::steady_clock;

  // Held by a change while it runs.
  class Pass {
   public:
    explicit Pass(Gate& gate) : gate_(gate), lane_(gate.enter()) {}
    ~Pass() { gate_.lanes_[lane_].inside.fetch_sub(1, std::memory_order_release); }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    Gate& gate_;
    const size_t lane_;
  };

  struct Held {
    uint64_t longest_ns = 0;  // the longest time in one piece for which the gate was closed
    unsigned attempts = 0;
    bool done = false;
  };

  // Runs `act`, which must be short, while no change is under way. Not done: some change did not end in about a minute.
  template <typename Act>
  Held alone(Act act) {
    const std::lock_guard lock(closer_);
    Held held;
    while (true) {
      held.attempts++;
      const auto closed_at = Clock::now();
      closed_.store(true, std::memory_order_seq_cst);
      const auto patience = kPatience * (1 << (held.attempts / kAttemptsEach));
      held.done = wait_until_empty(closed_at + patience);
      if (held.done) act();
      closed_.store(false, std::memory_order_seq_cst);
      closed_.notify_all();
      const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - closed_at).count();
      held.longest_ns = std::max(held.longest_ns, static_cast<uint64_t>(ns));
      if (held.done || held.attempts >= kAttemptsMax) return held;
      std::this_thread::sleep_for(patience / 2);
    }
  }

  // The longest time that any change has waited so far, over several attempts if it was so unlucky.
  uint64_t longest_wait_ns() const { return longest_wait_ns_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kLanes = 16;
  static constexpr auto kPatience = std::chrono::milliseconds(8);
  // After so many attempts patience is doubled, up to two seconds.
  static constexpr unsigned kAttemptsEach = 8;
  static constexpr unsigned kAttemptsMax = 72;
  static constexpr auto kLook = std::chrono::microseconds(20);

  struct alignas(64) Lane {
    std::atomic<int64_t> inside = 0;
  };

  size_t enter() {
    static std::atomic<size_t> next = 0;
    thread_local const size_t lane = next.fetch_add(1, std::memory_order_relaxed) % kLanes;
    Clock::time_point waiting_since;
    while (true) {
      lanes_[lane].inside.fetch_add(1, std::memory_order_seq_cst);
      if (!closed_.load(std::memory_order_seq_cst)) {
        if (waiting_since != Clock::time_point()) note_wait(waiting_since);
        return lane;
      }
      lanes_[lane].inside.fetch_sub(1, std::memory_order_release);
      if (waiting_since == Clock::time_point()) waiting_since = Clock::now();
      closed_.wait(true, std::memory_order_acquire);
    }
  }

  void note_wait(Clock::time_point since) {
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - since).count();
    uint64_t longest = longest_wait_ns_.load(std::memory_order_relaxed);
    while (static_cast<uint64_t>(ns) > longest &&
           !longest_wait_ns_.compare_exchange_weak(longest, static_cast<uint64_t>(ns))) {
    }
  }

  bool wait_until_empty(Clock::time_point deadline) const {
    for (unsigned looks = 0;; looks++) {
      int64_t inside = 0;
      for (const Lane& lane : lanes_) inside += lane.inside.load(std::memory_order_seq_cst);
      if (inside == 0) return true;
      if (Clock::now() >= deadline) return false;
      if (looks < 50) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(kLook);
      }
    }
  }

  std::array<Lane, kLanes> lanes_;
  std::atomic<bool> closed_ = false;
  std::atomic<uint64_t> longest_wait_ns_ = 0;
  std::mutex closer_;  // one at a time
};

}  // namespace covault

#endif  // COVAULT_GATE_H_
