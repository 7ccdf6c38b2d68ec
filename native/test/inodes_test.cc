#include "inodes.h"

#include <sys/stat.h>

#include <thread>

#include "check.h"

using namespace covault;

namespace {

Identity file(uint64_t ino, uint8_t generation = 0) {
  Identity identity{.key = {1, ino}, .type = S_IFREG, .handle = {}};
  if (generation != 0) {
    identity.handle.bytes = 1;
    identity.handle.data[0] = std::byte{generation};
  }
  return identity;
}

Identity directory(uint64_t ino) { return {.key = {1, ino}, .type = S_IFDIR, .handle = {}}; }

}  // namespace

TEST("the root has the kernel's root id and is never forgotten") {
  Inodes inodes(directory(2), [](uint64_t) {});
  CHECK(inodes.find(InodeKey{1, 2}) == wire::kRootNode);
  inodes.forget(wire::kRootNode, 100);
  CHECK(inodes.find(wire::kRootNode) != nullptr);
}

TEST("an inode lives until every lookup was taken back") {
  uint64_t forgotten = 0;
  Inodes inodes(directory(2), [&](uint64_t node) { forgotten = node; });
  const uint64_t node = inodes.remember(file(10, 1), 1, "a");
  CHECK(inodes.remember(file(10, 1), 1, "b") == node);  // a hard link is the same inode
  inodes.forget(node, 1);
  CHECK(inodes.find(node) != nullptr && forgotten == 0);
  inodes.forget(node, 1);
  CHECK(inodes.find(node) == nullptr && forgotten == node);
  CHECK(inodes.find(InodeKey{1, 10}) == 0);
}

TEST("a node id never gets another meaning") {
  Inodes inodes(directory(2), [](uint64_t) {});
  const uint64_t first = inodes.remember(file(10, 1), 1, "a");
  inodes.forget(first, 1);
  const uint64_t second = inodes.remember(file(11, 1), 1, "b");
  CHECK(static_cast<uint32_t>(first) == static_cast<uint32_t>(second));  // the slot was used again
  CHECK(first != second);
  CHECK(inodes.find(first) == nullptr);
  inodes.forget(first, 1);  // a late forget does no harm
  CHECK(inodes.find(second) != nullptr);
}

TEST("what an inode is comes back as it was, with and without a handle, in a slot used again") {
  Inodes inodes(directory(2), [](uint64_t) {});
  Identity identity{.key = {0xfffff0ff, ~0ull}, .type = S_IFSOCK, .handle = {}};
  for (const size_t bytes : {FileHandle::kBytesMax, size_t{0}, size_t{1}, size_t{0}, size_t{20}}) {
    identity.handle = {.type = 255, .bytes = static_cast<uint8_t>(bytes), .data = {}};
    for (size_t i = 0; i < bytes; i++) identity.handle.data[i] = static_cast<std::byte>(0xf0 + i);
    if (bytes == 0) identity.handle = {};
    const uint64_t node = inodes.remember(identity, 1, "name");
    CHECK(static_cast<uint32_t>(node) == 2);
    CHECK(inodes.find(node)->identity() == identity);
    CHECK(inodes.find(node)->has_handle() == (bytes > 0));
    InodeName name;
    CHECK(inodes.name_of(node, &name) == (bytes == 0));
    inodes.set_name(node, 1, "other");
    CHECK(inodes.name_of(node, &name) == (bytes == 0));
    inodes.forget(node, 1);
    CHECK(inodes.find(node) == nullptr);
  }
}

TEST("made-up node ids are not found") {
  const Inodes inodes(directory(2), [](uint64_t) {});
  for (const uint64_t node : {0ull, 2ull, 1ull << 32, 0xffffffffull, ~0ull}) CHECK(inodes.find(node) == nullptr);
}

TEST("an inode number that was given to another file makes another node") {
  Inodes inodes(directory(2), [](uint64_t) {});
  const uint64_t old = inodes.remember(file(10, 1), 1, "a");
  const uint64_t fresh = inodes.remember(file(10, 2), 1, "a");
  CHECK(old != fresh);
  CHECK(inodes.find(old) != nullptr);  // the kernel still holds it
  CHECK(inodes.find(InodeKey{1, 10}) == fresh);
  inodes.forget(old, 1);
  CHECK(inodes.find(InodeKey{1, 10}) == fresh);
}

TEST("a parent lives as long as something is named after it") {
  Inodes inodes(directory(2), [](uint64_t) {});
  const uint64_t parent = inodes.remember(directory(20), 1, "d");
  const uint64_t child = inodes.remember(file(21), parent, "f");
  inodes.forget(parent, 1);
  CHECK(inodes.find(parent) != nullptr);
  InodeName name;
  CHECK(inodes.name_of(child, &name) && name.parent == parent && name.name == "f");
  inodes.forget(child, 1);
  CHECK(inodes.find(child) == nullptr && inodes.find(parent) == nullptr);
  CHECK(inodes.size() == 1);
}

TEST("names move with renames and go with unlinks") {
  Inodes inodes(directory(2), [](uint64_t) {});
  const uint64_t a = inodes.remember(directory(20), 1, "a");
  const uint64_t b = inodes.remember(directory(21), 1, "b");
  const uint64_t child = inodes.remember(file(30), a, "f");
  inodes.set_name(child, b, "g");
  CHECK(inodes.is_named(child, b, "g") && !inodes.is_named(child, a, "f"));
  inodes.forget(a, 1);
  CHECK(inodes.find(a) == nullptr);  // nothing is named after it any more
  inodes.drop_name(child);
  InodeName name;
  CHECK(!inodes.name_of(child, &name));
  inodes.forget(b, 1);
  CHECK(inodes.find(b) == nullptr && inodes.find(child) != nullptr);
}

TEST("many threads look up and forget the same inodes") {
  Inodes inodes(directory(2), [](uint64_t) {});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([&inodes, t] {
      for (uint64_t i = 0; i < 20000; i++) {
        const uint64_t parent = inodes.remember(directory(5 + i % 3), 1, "d");
        const uint64_t node = inodes.remember(file(100 + i % 50), parent, t % 2 == 0 ? "even" : "odd");
        inodes.find(node);
        inodes.forget(node, 1);
        inodes.forget(parent, 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(inodes.size() == 1);
}
