// Counters of one transport thread: written by that thread only, read by anybody.
#ifndef COVAULT_STATISTICS_H_
#define COVAULT_STATISTICS_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "server.h"

namespace covault {

class ThreadCounters {
 public:
  void request(uint32_t opcode) { add(requests_[opcode < wire::kOpcodeCount ? opcode : 0], 1); }
  void error() { add(errors_, 1); }
  void malformed() { add(malformed_, 1); }
  void read(uint64_t bytes) { add(bytes_read_, bytes); }
  void written(uint64_t bytes) { add(bytes_written_, bytes); }

  void add_to(ServerStatistics& sum) const {
    for (size_t i = 0; i < requests_.size(); i++) sum.requests[i] += requests_[i].load(std::memory_order_relaxed);
    sum.errors += errors_.load(std::memory_order_relaxed);
    sum.malformed += malformed_.load(std::memory_order_relaxed);
    sum.bytes_read += bytes_read_.load(std::memory_order_relaxed);
    sum.bytes_written += bytes_written_.load(std::memory_order_relaxed);
  }

 private:
  using Counter = std::atomic<uint64_t>;
  // One writer, so no read-modify-write instruction is needed.
  static void add(Counter& counter, uint64_t amount) {
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  std::array<Counter, wire::kOpcodeCount> requests_ = {};
  Counter errors_ = 0;
  Counter malformed_ = 0;
  Counter bytes_read_ = 0;
  Counter bytes_written_ = 0;
};

}  // namespace covault

#endif  // COVAULT_STATISTICS_H_
