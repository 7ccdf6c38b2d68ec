#include "epochs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "changes.h"
#include "check.h"
#include "epoch_reader.h"

using namespace covault;
using covault::test::TemporaryDirectory;

namespace {

constexpr uint64_t kUnit = Arena::kUnit;

// A directory with epochs, and changes to it as the engine makes them.
class World {
 public:
  explicit World(EpochOptions options = {}) {
    root_ = FileDescriptor(open(directory_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status;
    fstat(root_.get(), &status);
    root_key_ = {status.st_dev, status.st_ino};
    options.kept_max = 2;
    epochs = Epochs::make(root_.get(), status.st_dev, false, std::move(options));
    changes = std::make_unique<Changes>(nullptr, epochs, status.st_dev);
  }

  uint64_t cut() {
    return epochs->open([] {}).id;
  }

  void create(const std::string& name, const std::string& content) {
    const auto pass = changes->enter();
    const FileDescriptor file(changes->make({root_key_, root_.get()}, name, [&] {
      return openat(root_.get(), name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0644);
    }));
    CHECK(file.is_open());
    changes->created(key_of(file.get()), root_key_, name);
    CHECK(pwrite(file.get(), content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()));
  }
  FileDescriptor open_file(const std::string& name) const {
    return FileDescriptor(openat(root_.get(), name.c_str(), O_RDWR | O_CLOEXEC));
  }
  void write(int file, uint64_t offset, const std::string& content) {
    const auto pass = changes->enter();
    changes->content({key_of(file), file}, offset, content.size(),
                     [&] { return pwrite(file, content.data(), content.size(), static_cast<off_t>(offset)); });
  }
  void truncate(int file, uint64_t size) {
    const auto pass = changes->enter();
    changes->size({key_of(file), file}, size, [&] { return ftruncate(file, static_cast<off_t>(size)); });
  }
  void remove(const std::string& name) {
    const auto pass = changes->enter();
    struct stat status;
    CHECK(fstatat(root_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0);
    changes->unlink(status, {root_key_, root_.get()}, name, [&] { return unlinkat(root_.get(), name.c_str(), 0); });
  }
  void rename(const std::string& from, const std::string& to) {
    const auto pass = changes->enter();
    struct stat moved;
    struct stat replaced;
    CHECK(fstatat(root_.get(), from.c_str(), &moved, AT_SYMLINK_NOFOLLOW) == 0);
    const bool target = fstatat(root_.get(), to.c_str(), &replaced, AT_SYMLINK_NOFOLLOW) == 0;
    const Subject root{root_key_, root_.get()};
    changes->rename(moved, root, from, root, to, target ? &replaced : nullptr, false,
                    [&] { return renameat(root_.get(), from.c_str(), root_.get(), to.c_str()); });
  }

  // What a file was at a cut; "-" and an errno if it cannot be read.
  std::string at(uint64_t epoch, const std::string& name) const {
    const EpochReader reader(epochs, epoch);
    EpochReader::Node node;
    if (const int error = reader.find(name, &node)) return "-" + std::to_string(error);
    std::unique_ptr<EpochFile> file;
    if (const int error = EpochFile::open(reader, epochs, name, node.inode, &file)) return "-" + std::to_string(error);
    std::string content(file->attributes().size, '\0');
    for (size_t done = 0; done < content.size();) {
      const ssize_t count = file->read(content.data() + done, content.size() - done, done);
      if (count <= 0) return "-" + std::to_string(count < 0 ? errno : 0);
      done += static_cast<size_t>(count);
    }
    return content;
  }
  std::string names(uint64_t epoch) const {
    const EpochReader reader(epochs, epoch);
    EpochReader::Node node;
    std::vector<std::string> found;
    if (reader.find("", &node) != 0 || reader.names(node, &found) != 0) return "-";
    std::string joined;
    for (const std::string& name : found) joined += name + " ";
    return joined;
  }

  int root() const { return root_.get(); }

  std::shared_ptr<Epochs> epochs;
  std::unique_ptr<Changes> changes;

 private:
  static InodeKey key_of(int fd) {
    struct stat status;
    fstat(fd, &status);
    return {status.st_dev, status.st_ino};
  }

  TemporaryDirectory directory_;
  FileDescriptor root_;
  InodeKey root_key_;
};

std::string pattern(size_t length, unsigned seed) {
  std::string result(length, '\0');
  for (size_t i = 0; i < length; i++) result[i] = static_cast<char>(i * 7 + (i >> 9) + seed * 41);
  return result;
}

}  // namespace

TEST("extents tell gaps and join what adjoins") {
  Extents extents;
  extents.add({100, 200, 1000});
  extents.add({300, 400, Extents::kHole});
  extents.add({200, 250, 1100});
  const auto gaps = extents.gaps(50, 500);
  CHECK(gaps.size() == 3);
  CHECK(gaps[0] == std::pair(uint64_t{50}, uint64_t{100}));
  CHECK(gaps[1] == std::pair(uint64_t{250}, uint64_t{300}));
  CHECK(gaps[2] == std::pair(uint64_t{400}, uint64_t{500}));
  CHECK(extents.gaps(120, 240).empty());
  CHECK(extents.from(240) != nullptr && extents.from(240)->end == 250 && extents.from(240)->start == 100);
  CHECK(extents.from(250)->start == 300 && extents.from(400) == nullptr);
}

TEST("an epoch keeps contents and names") {
  World world;
  const std::string old = pattern(3 * kUnit + 5, 1);
  world.create("a", old);
  world.create("b", "bee");
  const uint64_t epoch = world.cut();
  const FileDescriptor a = world.open_file("a");
  world.write(a.get(), kUnit + 3, "changed");
  world.truncate(a.get(), kUnit);
  world.truncate(a.get(), 9 * kUnit);
  world.rename("a", "c");
  world.rename("c", "b");
  world.create("a", "another");
  CHECK(world.at(epoch, "a") == old);
  CHECK(world.at(epoch, "b") == "bee");
  CHECK(world.names(epoch) == "a b ");
  CHECK(world.at(epoch, "c") == "-" + std::to_string(ENOENT));
  world.epochs->close(epoch);
  CHECK(world.at(epoch, "a") == "-" + std::to_string(ECANCELED));
  CHECK(world.epochs->statistics().space_bytes == 0 && world.epochs->statistics().memory_bytes == 0);
  CHECK(!world.epochs->active());
}

TEST("what was opened through an epoch stays readable when the file goes") {
  World world;
  const std::string old = pattern(2 * kUnit, 1);
  world.create("a", old);
  world.create("small", "abc");
  const uint64_t epoch = world.cut();
  const EpochReader reader(world.epochs, epoch);
  EpochReader::Node node;
  CHECK(reader.find("small", &node) == 0);
  std::unique_ptr<EpochFile> file;
  CHECK(EpochFile::open(reader, world.epochs, "small", node.inode, &file) == 0);
  const FileDescriptor small = world.open_file("small");
  world.remove("small");
  world.write(small.get(), 0, "xyz");
  char bytes[3];
  CHECK(file->read(bytes, 3, 0) == 3 && std::memcmp(bytes, "abc", 3) == 0);
  world.remove("a");
  CHECK(world.at(epoch, "a") == old);
  CHECK(world.epochs->statistics().kept_descriptors == 1);
}

TEST("each of several epochs has its own moment") {
  World world;
  world.create("a", pattern(kUnit * 2, 0));
  const FileDescriptor a = world.open_file("a");
  std::vector<uint64_t> epochs;
  for (unsigned round = 0; round < 6; round++) {
    world.write(a.get(), round * 100, pattern(kUnit, round));
    if (round % 2 == 0) world.truncate(a.get(), kUnit + 500 * round);
    const FileDescriptor live = world.open_file("a");
    epochs.push_back(world.cut());
  }
  std::vector<std::string> contents;
  for (const uint64_t epoch : epochs) contents.push_back(world.at(epoch, "a"));
  world.remove("a");
  world.write(a.get(), 0, pattern(5 * kUnit, 99));
  for (size_t i = 0; i < epochs.size(); i++) CHECK(world.at(epochs[i], "a") == contents[i]);
  world.epochs->close(epochs[2]);
  world.epochs->close(epochs[5]);
  for (const size_t i : {0, 1, 3, 4}) CHECK(world.at(epochs[i], "a") == contents[i]);
  for (const size_t i : {0, 1}) world.epochs->close(epochs[i]);
  for (const size_t i : {3, 4}) CHECK(world.at(epochs[i], "a") == contents[i]);
}

TEST("a number that a file without names had is used again") {
  World world;
  world.create("a", "abc");
  const FileDescriptor a = world.open_file("a");
  struct stat status;
  CHECK(fstat(a.get(), &status) == 0);
  const uint64_t gone = status.st_ino;
  const uint64_t first = world.cut();
  world.remove("a");
  const uint64_t second = world.cut();
  world.epochs->changes_attributes(gone, a.get());
  // It is closed, and a new directory gets its number, is moved, and goes.
  world.epochs->created(gone);
  CHECK(mkdirat(world.root(), "directory", 0755) == 0);
  CHECK(fstatat(world.root(), "directory", &status, 0) == 0);
  status.st_ino = gone;
  world.epochs->loses_name(status, world.root(), "directory", false);
  world.epochs->loses_name(status, world.root(), "directory", true);
  CHECK(world.at(first, "a") == "abc");
  CHECK(world.at(second, "a") == "-" + std::to_string(ENOENT));
}

TEST("beyond its space an epoch fails and changes go on") {
  World world({.space_bytes_max = 2 * kUnit, .spare_directory = {}});
  world.create("a", pattern(8 * kUnit, 1));
  const uint64_t epoch = world.cut();
  const FileDescriptor a = world.open_file("a");
  world.write(a.get(), 0, pattern(6 * kUnit, 2));
  CHECK(!world.epochs->failure(epoch).empty());
  CHECK(world.at(epoch, "a") == "-" + std::to_string(ECANCELED));
  std::string now(6 * kUnit, '\0');
  CHECK(pread(a.get(), now.data(), now.size(), 0) == static_cast<ssize_t>(now.size()) && now == pattern(6 * kUnit, 2));
  CHECK(world.epochs->statistics().space_bytes == 0 && !world.epochs->active());
}

// Writers write, each in one piece, the same number into all four quarters of a file, under one pass; so in every cut
// all quarters are the same.
TEST("a change is wholly before a cut or wholly after it, and stays so while it is read") {
  World world;
  constexpr int kFiles = 3;
  constexpr uint64_t kQuarter = kUnit + 4096;
  std::vector<FileDescriptor> files;
  for (int i = 0; i < kFiles; i++) {
    world.create("f" + std::to_string(i), std::string(4 * kQuarter, 'a'));
    files.push_back(world.open_file("f" + std::to_string(i)));
  }
  std::atomic<bool> done = false;
  std::vector<std::thread> writers;
  for (int i = 0; i < kFiles; i++) {
    writers.emplace_back([&, i] {
      const int file = files[static_cast<size_t>(i)].get();
      struct stat status;
      fstat(file, &status);
      for (unsigned count = 0; !done; count++) {
        const std::string piece(100, static_cast<char>('a' + count % 26));
        const auto pass = world.changes->enter();
        for (uint64_t quarter = 0; quarter < 4; quarter++) {
          const uint64_t offset = quarter * kQuarter + 10;
          world.changes->content({{status.st_dev, status.st_ino}, file}, offset, piece.size(),
                                 [&] { return pwrite(file, piece.data(), piece.size(), static_cast<off_t>(offset)); });
        }
      }
    });
  }
  for (int round = 0; round < 60; round++) {
    const uint64_t epoch = world.cut();
    for (int i = 0; i < kFiles; i++) {
      const std::string name = "f" + std::to_string(i);
      const std::string first = world.at(epoch, name);
      CHECK(first.size() == 4 * kQuarter);
      for (uint64_t quarter = 1; quarter < 4 && first.size() == 4 * kQuarter; quarter++) {
        CHECK(first.compare(quarter * kQuarter, 200, first, 0, 200) == 0);
      }
      std::this_thread::yield();
      CHECK(world.at(epoch, name) == first);
    }
    world.epochs->close(epoch);
  }
  done = true;
  for (std::thread& writer : writers) writer.join();
  CHECK(world.epochs->statistics().opened == 60);
}

TEST("the gate lets others through while one change does not end") {
  Gate gate;
  std::atomic<bool> ended = false;
  std::atomic<uint64_t> passed = 0;
  std::atomic<bool> slow_is_in = false;
  std::thread slow([&] {
    const Gate::Pass pass(gate);
    slow_is_in = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
  });
  while (!slow_is_in) std::this_thread::yield();
  std::thread quick([&] {
    while (!ended) {
      const Gate::Pass pass(gate);
      passed++;
    }
  });
  uint64_t during = 0;
  const Gate::Held held = gate.alone([&] { during = passed; });
  const uint64_t before_end = passed;
  ended = true;
  slow.join();
  quick.join();
  CHECK(held.attempts > 1);
  CHECK(during > 0 && before_end >= during);
}
