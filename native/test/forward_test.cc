#include "forward.h"

#include <errno.h>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "check.h"
#include "forward_encoding.h"

using namespace covault;

namespace {

using Layout = ForwardLayout;

struct Answer {
  std::atomic<int> times = 0;
  int error = 0;
  std::vector<std::byte> data;
};

class FakeReply final : public DeferredReply {
 public:
  explicit FakeReply(Answer* answer) : answer_(answer) {}
  void error(int error_number) override {
    answer_->error = error_number;
    answer_->times++;
  }
  void data(Bytes bytes) override {
    answer_->data.assign(bytes.begin(), bytes.end());
    answer_->times++;
  }

 private:
  Answer* const answer_;
};

class FakeDeferrer final : public Deferrer {
 public:
  explicit FakeDeferrer(Answer* answer) : answer_(answer) {}
  std::unique_ptr<DeferredReply> defer(uint64_t) override { return std::make_unique<FakeReply>(answer_); }

 private:
  Answer* const answer_;
};

Outcome put(ForwardQueue& queue, ForwardRequest request, Answer* answer) {
  FakeDeferrer deferrer(answer);
  Reply reply(1, {}, &deferrer);
  return queue.put(std::move(request), reply);
}

std::vector<std::byte> item(uint64_t node, const std::string& name, uint64_t next) {
  std::vector<std::byte> bytes(wire::record_align(Layout::kAttributesBytes + name.size()));
  const uint32_t mode = 0100644;
  const uint32_t nlink = 1;
  const uint32_t name_bytes = static_cast<uint32_t>(name.size());
  std::memcpy(bytes.data() + Layout::kNode, &node, 8);
  std::memcpy(bytes.data() + Layout::kMode, &mode, 4);
  std::memcpy(bytes.data() + Layout::kNlink, &nlink, 4);
  std::memcpy(bytes.data() + Layout::kNameBytes, &name_bytes, 4);
  std::memcpy(bytes.data() + Layout::kDirectoryOffset, &next, 8);
  std::memcpy(bytes.data() + Layout::kAttributesBytes, name.data(), name.size());
  return bytes;
}

}  // namespace

TEST("every forwarded request is answered once, in any order, within the bound") {
  constexpr size_t kThreads = 4;
  constexpr size_t kEach = 2000;
  constexpr size_t kInFlight = 3;
  ForwardQueue queue(kInFlight);
  std::vector<Answer> answers(kThreads * kEach);
  std::atomic<bool> over = false;
  std::thread javascript([&] {
    std::vector<ForwardRequest> held;
    while (!over) {
      for (ForwardRequest& request : queue.take()) held.push_back(std::move(request));
      CHECK(held.size() <= kInFlight);
      if (held.empty()) {
        std::this_thread::yield();
        continue;
      }
      // The newest first.
      queue.answer(held.back().id, EACCES, {});
      queue.answer(held.back().id, EIO, {});  // a second answer is ignored
      held.pop_back();
    }
  });
  std::vector<std::thread> transport;
  for (size_t t = 0; t < kThreads; t++) {
    transport.emplace_back([&, t] {
      for (size_t i = 0; i < kEach; i++) CHECK(put(queue, {.node = i}, &answers[t * kEach + i]) == kDeferred);
    });
  }
  for (std::thread& thread : transport) thread.join();
  for (const Answer& answer : answers) {
    while (answer.times == 0) std::this_thread::yield();
  }
  over = true;
  javascript.join();
  for (const Answer& answer : answers) CHECK(answer.times == 1 && answer.error == EACCES);
}

TEST("closing answers what is under way and frees the threads that wait for room") {
  ForwardQueue queue(1);
  Answer first;
  Answer second;
  CHECK(put(queue, {}, &first) == kDeferred);
  std::thread waiting([&] { CHECK(put(queue, {}, &second) == EIO); });
  queue.close();
  waiting.join();
  CHECK(first.times == 1 && first.error == EIO);
  CHECK(put(queue, {}, &second) == EIO);
  queue.answer(1, 0, {});  // too late
  CHECK(first.times == 1);
}

TEST("directory items are packed as long as they fit") {
  std::vector<std::byte> payload;
  for (uint64_t i = 1; i <= 3; i++) {
    const auto one = item(10 + i, "name" + std::to_string(i), i);
    payload.insert(payload.end(), one.begin(), one.end());
  }
  for (const auto& [operation, record] : {std::pair{ForwardOperation::kReadDirectory, size_t{32}},
                                          std::pair{ForwardOperation::kReadDirectoryPlus, size_t{160}}}) {
    Answer answer;
    FakeReply reply(&answer);
    send_answer(operation, static_cast<uint32_t>(2 * record + record - 1), 0, payload, reply);
    CHECK(answer.error == 0 && answer.data.size() == 2 * record);
    wire::DirectoryEntry entry;
    std::memcpy(&entry, answer.data.data() + 2 * record - 32, sizeof entry);
    CHECK(entry.ino == 12 && entry.offset == 2 && entry.name_bytes == 5 && entry.type == 8);
  }
}

TEST("no payload makes an answer read beyond it") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; i++) {
    // Exactly as large as it is, so that AddressSanitizer sees a byte too many.
    std::vector<std::byte> payload(random() % 400);
    for (std::byte& byte : payload) byte = std::byte(random() % 3 == 0 ? random() : 0);
    const auto operation = static_cast<ForwardOperation>(1 + random() % 8);
    const uint32_t size = static_cast<uint32_t>(random() % 300);
    Answer answer;
    FakeReply reply(&answer);
    send_answer(operation, size, 0, payload, reply);
    CHECK(answer.times == 1);
    const bool sized = operation != ForwardOperation::kLookup && operation != ForwardOperation::kAttributes &&
                       operation != ForwardOperation::kReadLink && size != 0;
    if (sized) CHECK(answer.data.size() <= size);
  }
}
