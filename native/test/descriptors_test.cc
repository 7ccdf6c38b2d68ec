#include "descriptors.h"

#include <fcntl.h>

#include <atomic>
#include <thread>

#include "check.h"

using namespace covault;

namespace {

FileDescriptor some_descriptor() { return FileDescriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)); }
bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

}  // namespace

TEST("the cache of descriptors stays within its bound") {
  Descriptors cache(64);
  for (uint64_t node = 1; node <= 1000; node++) cache.insert(node, some_descriptor(), Access::kRead);
  CHECK(cache.size() <= 64);
  CHECK(cache.find(1000) != nullptr && cache.find(1) == nullptr);
}

TEST("what was used last stays longest") {
  Descriptors cache(32);  // two for each of 16 shards
  cache.insert(16, some_descriptor(), Access::kRead);
  cache.insert(16 + 256, some_descriptor(), Access::kRead);
  CHECK(cache.find(16) != nullptr);
  cache.insert(16 + 512, some_descriptor(), Access::kRead);
  CHECK(cache.find(16) != nullptr && cache.find(16 + 256) == nullptr);
}

TEST("a pinned descriptor outlives every eviction until it is dropped") {
  Descriptors cache(16);
  cache.insert(1, some_descriptor(), Access::kPath);
  CHECK(cache.pin(1) && !cache.pin(2));
  for (uint64_t node = 2; node <= 500; node++) cache.insert(node, some_descriptor(), Access::kRead);
  cache.shrink();
  CHECK(cache.find(1) != nullptr && cache.pinned() == 1);
  cache.drop(1);
  CHECK(cache.find(1) == nullptr && cache.pinned() == 0);
}

TEST("a descriptor in use is not closed by eviction") {
  Descriptors cache(16);
  const Lease lease = cache.insert(1, some_descriptor(), Access::kRead);
  const int fd = lease->fd.get();
  cache.drop(1);
  CHECK(is_open(fd));
}

TEST("a replaced descriptor is closed and its pin is kept") {
  Descriptors cache(16);
  const int first = cache.insert(1, some_descriptor(), Access::kRead)->fd.get();
  cache.pin(1);
  const Lease second = cache.insert(1, some_descriptor(), Access::kReadWrite);
  CHECK(second->fd.get() != first && !is_open(first));
  CHECK(cache.find(1)->access == Access::kReadWrite && cache.pinned() == 1);
}

TEST("many threads share the cache") {
  Descriptors cache(64);
  std::atomic<bool> broken = false;
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; t++) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 5000; i++) {
        const uint64_t node = 1 + (i * 7 + t) % 300;
        Lease lease = cache.find(node);
        if (lease == nullptr) lease = cache.insert(node, some_descriptor(), Access::kRead);
        if (!is_open(lease->fd.get())) broken = true;
        if (i % 50 == 0) cache.pin(node);
        if (i % 70 == 0) cache.unpin(node);
        if (i % 90 == 0) cache.drop(node);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(!broken);
}
