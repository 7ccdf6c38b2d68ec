// The handler on a real directory, in both ways of opening files, without a mount.
#include "passthrough.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "check.h"
#include "client.h"
#include "mutation_log.h"
#include "posix.h"

using namespace covault;
using test::Answer;
using test::Client;

namespace {

// Runs `body` on a handler over a fresh directory, in a thread of its own as transport threads are: stateless if the
// process may, and as an ordinary user.
template <typename Body>
void with_handlers(const PassthroughOptions& base, Body body) {
  for (const bool unprivileged : {false, true}) {
    const test::TemporaryDirectory directory;
    const FileDescriptor fd(open(directory.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    PassthroughOptions options = base;
    options.directory_fd = fd.get();
    options.unprivileged = unprivileged;
    std::string error;
    const std::shared_ptr<Handler> handler = make_passthrough(options, &error);
    CHECK(handler != nullptr);
    if (handler == nullptr) return;
    std::thread([&] {
      handler->thread_starts();
      Client client(*handler);
      body(client, directory.path(), *handler);
      handler->thread_ends();
    }).join();
  }
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

size_t open_descriptors() {
  const std::filesystem::directory_iterator descriptors("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(descriptors), end(descriptors)));
}

void put(const std::string& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

}  // namespace

TEST("a created file is written, read and released") {
  with_handlers({}, [](Client& client, const std::string& path, Handler& handler) {
    uint64_t handle = 0;
    const uint64_t node = client.create(wire::kRootNode, "file", &handle);
    CHECK(node != 0);
    CHECK(client.write(node, handle, 3, "hello") == 0);
    CHECK(client.read(node, handle, 0, 100) == std::string("\0\0\0hello", 8));
    CHECK(content_of(path + "/file") == std::string("\0\0\0hello", 8));
    wire::ReleaseIn release = {};
    release.handle = handle;
    CHECK(client.send(wire::kRelease, node, release, "").outcome == 0);
    client.forget(node, 1);
    const PassthroughStatistics state = passthrough_statistics(handler);
    CHECK(state.inodes == 1 && state.open_handles == 0);
  });
}

TEST("an absent name is an answer that the kernel may keep") {
  with_handlers({}, [](Client& client, const std::string&, Handler&) {
    const Answer answer = client.send(wire::kLookup, wire::kRootNode, Client::z("absent"));
    CHECK(answer.outcome == 0);
    CHECK(answer.as<wire::EntryOut>().node == 0 && answer.as<wire::EntryOut>().entry_valid > 1000000);
  });
}

TEST("hard links are one node with as many lookups as answers") {
  with_handlers({}, [](Client& client, const std::string& path, Handler& handler) {
    put(path + "/a", "x");
    CHECK(link((path + "/a").c_str(), (path + "/b").c_str()) == 0);
    const uint64_t node = client.lookup(wire::kRootNode, "a").node;
    CHECK(client.lookup(wire::kRootNode, "b").node == node);
    client.forget(node, 1);
    CHECK(passthrough_statistics(handler).inodes == 2);
    client.forget(node, 1);
    CHECK(passthrough_statistics(handler).inodes == 1);
  });
}

TEST("a file lives on after its last name is gone, however few descriptors are cached") {
  PassthroughOptions options;
  options.descriptors_max = 4;
  with_handlers(options, [](Client& client, const std::string& path, Handler& handler) {
    put(path + "/gone", "still here");
    const uint64_t node = client.lookup(wire::kRootNode, "gone").node;
    CHECK(client.send(wire::kUnlink, wire::kRootNode, Client::z("gone")).outcome == 0);
    for (int i = 0; i < 200; i++) {
      put(path + "/other" + std::to_string(i), "y");
      const uint64_t other = client.lookup(wire::kRootNode, "other" + std::to_string(i)).node;
      CHECK(client.read(other, 0, 0, 10) == "y");
    }
    CHECK(client.read(node, 0, 0, 100) == "still here");
    CHECK(client.send(wire::kGetattr, node, wire::GetattrIn{}, "").as<wire::AttributesOut>().attributes.nlink == 0);
    const uint64_t pinned = passthrough_statistics(handler).pinned;
    client.forget(node, 1);
    CHECK(passthrough_statistics(handler).pinned == pinned - 1);
  });
}

TEST("a file that was renamed over lives on as well") {
  PassthroughOptions options;
  options.descriptors_max = 4;
  with_handlers(options, [](Client& client, const std::string& path, Handler&) {
    put(path + "/new", "new");
    put(path + "/old", "old");
    const uint64_t fresh = client.lookup(wire::kRootNode, "new").node;
    const uint64_t old = client.lookup(wire::kRootNode, "old").node;
    const wire::RenameIn in{.new_parent = wire::kRootNode};
    CHECK(client.send(wire::kRename, wire::kRootNode, in, Client::z("new") + Client::z("old")).outcome == 0);
    for (int i = 0; i < 100; i++) {
      put(path + "/x" + std::to_string(i), "x");
      client.read(client.lookup(wire::kRootNode, "x" + std::to_string(i)).node, 0, 0, 1);
    }
    CHECK(client.read(old, 0, 0, 10) == "old");
    CHECK(client.read(fresh, 0, 0, 10) == "new");
    CHECK(client.lookup(wire::kRootNode, "old").node == fresh);
  });
}

TEST("what was evicted is found again after its directories were renamed") {
  PassthroughOptions options;
  options.descriptors_max = 4;
  with_handlers(options, [](Client& client, const std::string& path, Handler& handler) {
    uint64_t parent = wire::kRootNode;
    for (int depth = 0; depth < 20; depth++) {
      const wire::MkdirIn in{.mode = 0755, .umask = 022};
      parent = client.send(wire::kMkdir, parent, in, Client::z("d")).as<wire::EntryOut>().node;
    }
    uint64_t handle = 0;
    const uint64_t file = client.create(parent, "file", &handle);
    CHECK(client.write(file, handle, 0, "deep") == 0);
    const wire::Rename2In in{.new_parent = wire::kRootNode, .flags = RENAME_NOREPLACE, .padding = 0};
    CHECK(client.send(wire::kRename2, wire::kRootNode, in, Client::z("d") + Client::z("moved")).outcome == 0);
    for (int i = 0; i < 100; i++) {
      put(path + "/x" + std::to_string(i), "x");
      client.read(client.lookup(wire::kRootNode, "x" + std::to_string(i)).node, 0, 0, 1);
    }
    CHECK(client.read(file, 0, 0, 10) == "deep");
    CHECK(passthrough_statistics(handler).reopened > 0);
  });
}

TEST("exchanged names stay true for both") {
  PassthroughOptions options;
  options.descriptors_max = 4;
  with_handlers(options, [](Client& client, const std::string& path, Handler&) {
    put(path + "/a", "A");
    put(path + "/b", "B");
    const uint64_t a = client.lookup(wire::kRootNode, "a").node;
    const uint64_t b = client.lookup(wire::kRootNode, "b").node;
    const wire::Rename2In in{.new_parent = wire::kRootNode, .flags = RENAME_EXCHANGE, .padding = 0};
    CHECK(client.send(wire::kRename2, wire::kRootNode, in, Client::z("a") + Client::z("b")).outcome == 0);
    for (int i = 0; i < 100; i++) {
      put(path + "/x" + std::to_string(i), "x");
      client.read(client.lookup(wire::kRootNode, "x" + std::to_string(i)).node, 0, 0, 1);
    }
    CHECK(client.read(a, 0, 0, 10) == "A" && client.read(b, 0, 0, 10) == "B");
    CHECK(client.lookup(wire::kRootNode, "a").node == b);
  });
}

TEST("a directory is listed whole through small answers, and only what fits is looked up") {
  with_handlers({}, [](Client& client, const std::string& path, Handler& handler) {
    for (int i = 0; i < 500; i++) put(path + "/entry" + std::to_string(i), "");
    for (const uint32_t opcode : {wire::kReaddir, wire::kReaddirplus}) {
      const bool plus = opcode == wire::kReaddirplus;
      uint64_t handle = 0;
      if (passthrough_statistics(handler).privileged == false) {
        handle = client.send(wire::kOpendir, wire::kRootNode, wire::OpenIn{}, "").as<wire::OpenOut>().handle;
      }
      std::multiset<std::string> names;
      uint64_t lookups = 0;
      wire::ReadIn in = {};
      in.handle = handle;
      in.size = 4096;
      while (true) {
        const Answer answer = client.send(opcode, wire::kRootNode, in, "");
        CHECK(answer.outcome == 0 && answer.bytes.size() <= 4096);
        if (answer.bytes.empty() || answer.outcome != 0) break;
        for (size_t at = 0; at < answer.bytes.size();) {
          const size_t header = at + (plus ? sizeof(wire::EntryOut) : 0);
          if (plus && answer.as<wire::EntryOut>(at).node != 0) lookups++;
          const auto entry = answer.as<wire::DirectoryEntry>(header);
          names.insert(answer.bytes.substr(header + sizeof(entry), entry.name_bytes));
          in.offset = entry.offset;
          at += wire::record_align(header - at + sizeof(entry) + entry.name_bytes);
        }
      }
      CHECK(names.size() == 502 && names.count("entry0") == 1 && names.count("entry499") == 1);
      CHECK(lookups == (plus ? 500u : 0u));
      CHECK(passthrough_statistics(handler).inodes == 1 + lookups);
    }
  });
}

TEST("changes are reported with their inodes and parents, in order") {
  const auto log = std::make_shared<MutationLog>(MutationLogOptions{});
  PassthroughOptions options;
  options.mutations = log;
  with_handlers(options, [&](Client& client, const std::string& path, Handler&) {
    struct stat root;
    CHECK(stat(path.c_str(), &root) == 0);
    uint64_t handle = 0;
    const uint64_t node = client.create(wire::kRootNode, "a", &handle);
    struct stat file;
    CHECK(stat((path + "/a").c_str(), &file) == 0);
    client.write(node, handle, 100, "content");
    client.send(wire::kLink, wire::kRootNode, wire::LinkIn{.node = node}, Client::z("b"));
    client.send(wire::kUnlink, wire::kRootNode, Client::z("a"));
    client.send(wire::kUnlink, wire::kRootNode, Client::z("absent"));  // fails, so it is no change
    std::vector<uint8_t> batch;
    CHECK(log->take(&batch));
    using Layout = MutationLayout;
    std::vector<MutationKind> kinds;
    uint32_t count = 0;
    std::memcpy(&count, batch.data() + Layout::kBatchCount, sizeof(count));
    size_t at = Layout::kBatchHeaderBytes;
    for (uint32_t i = 0; i < count; i++) {
      uint64_t inode = 0;
      uint64_t first = 0;
      std::memcpy(&inode, &batch[at + Layout::kInode], sizeof(inode));
      std::memcpy(&first, &batch[at + Layout::kFirst], sizeof(first));
      const auto kind = static_cast<MutationKind>(batch[at + Layout::kKind]);
      kinds.push_back(kind);
      CHECK(inode == file.st_ino);
      CHECK(first == (kind == MutationKind::kContent ? 100 : root.st_ino));
      const size_t name = kind == MutationKind::kContent ? 0 : 1;
      at += kind == MutationKind::kContent ? 32 : (Layout::kNameAfterFirst + name + 7) / 8 * 8;
    }
    CHECK((kinds == std::vector{MutationKind::kCreate, MutationKind::kContent, MutationKind::kLink,
                                MutationKind::kUnlink}));
    while (log->take(&batch)) continue;
  });
}

TEST("a file without a name can be written and gets one later") {
  with_handlers({}, [](Client& client, const std::string& path, Handler&) {
    const wire::CreateIn in{.flags = O_RDWR, .mode = 0600, .umask = 0, .open_flags = 0};
    const Answer answer = client.send(wire::kTmpfile, wire::kRootNode, in, "");
    if (answer.outcome == EOPNOTSUPP) return;  // not on this file system
    const uint64_t node = answer.as<wire::EntryOut>().node;
    const uint64_t handle = answer.as<wire::OpenOut>(sizeof(wire::EntryOut)).handle;
    CHECK(client.write(node, handle, 0, "tmp") == 0);
    const Answer linked = client.send(wire::kLink, wire::kRootNode, wire::LinkIn{.node = node}, Client::z("named"));
    CHECK(linked.outcome == 0 && linked.as<wire::EntryOut>().node == node);
    CHECK(content_of(path + "/named") == "tmp");
  });
}

TEST("requests about nodes that were never given out are answered with an error") {
  with_handlers({}, [](Client& client, const std::string&, Handler&) {
    for (const uint64_t node : {0ull, 99ull, 1ull << 40, ~0ull}) {
      CHECK(client.send(wire::kGetattr, node, wire::GetattrIn{}, "").outcome == ESTALE);
      CHECK(client.send(wire::kLookup, node, Client::z("x")).outcome == ESTALE);
      CHECK(client.read(node, 0, 0, 10) == "errno " + std::to_string(ESTALE));
      CHECK(client.read(wire::kRootNode, 12345, 0, 10) == "errno " + std::to_string(EBADF));
      client.forget(node, 1);
    }
  });
}

TEST("more inodes than descriptors can be walked") {
  PassthroughOptions options;
  options.descriptors_max = 32;
  with_handlers(options, [](Client& client, const std::string& path, Handler& handler) {
    std::map<uint64_t, std::string> nodes;
    for (int d = 0; d < 40; d++) {
      const std::string directory = "d" + std::to_string(d);
      CHECK(mkdir((path + "/" + directory).c_str(), 0755) == 0);
      const uint64_t parent = client.lookup(wire::kRootNode, directory).node;
      for (int f = 0; f < 25; f++) {
        const std::string name = "f" + std::to_string(f);
        put(path + "/" + directory + "/" + name, directory + name);
        nodes[client.lookup(parent, name).node] = directory + name;
      }
    }
    CHECK(nodes.size() == 1000);
    for (const auto& [node, content] : nodes) CHECK(client.read(node, 0, 0, 100) == content);
    const PassthroughStatistics state = passthrough_statistics(handler);
    CHECK(state.path_descriptors + state.data_descriptors <= 66);
  });
}

TEST("in writeback mode only the kernel moves a time") {
  struct Silent final : Notifier {
    void attributes_changed(uint64_t) override {}
    bool write_out(uint64_t, off_t, off_t) override { return true; }
  };
  with_handlers({}, [](Client& client, const std::string& path, Handler& handler) {
    Silent notifier;
    Connection connection;
    connection.data_mode = DataMode::kWriteback;
    handler.connected(connection, notifier);
    uint64_t handle = 0;
    const uint64_t node = client.create(wire::kRootNode, "file", &handle);
    const auto mtime = [&path] {
      struct stat status = {};
      stat((path + "/file").c_str(), &status);
      return status.st_mtim.tv_sec + static_cast<double>(status.st_mtim.tv_nsec) * 1e-9;
    };
    const auto tell = [&](uint64_t seconds) {
      wire::SetattrIn in = {};
      in.valid = wire::kSetMtime;
      in.mtime = seconds;
      CHECK(client.send(wire::kSetattr, node, in, "").outcome == 0);
    };
    const auto write_page = [&] {
      wire::WriteIn in = {};
      in.handle = handle;
      in.size = 5;
      in.write_flags = wire::kWriteCache;
      CHECK(client.send(wire::kWrite, node, in, "bytes").outcome == 0);
    };
    const double created = mtime();
    usleep(20'000);  // the clock of the file system goes in steps of up to 10 ms
    write_page();
    CHECK(mtime() == created);
    tell(1000);
    write_page();
    CHECK(mtime() == 1000);
    tell(2000);
    CHECK(client.write(node, handle, 0, "by") == 0);
    CHECK(mtime() == 2000);
    wire::SetattrIn same = {};
    same.valid = wire::kSetSize;
    same.size = 5;
    CHECK(client.send(wire::kSetattr, node, same, "").outcome == 0);
    CHECK(mtime() == 2000);
    wire::FallocateIn in = {};
    in.handle = handle;
    in.offset = 2;
    in.length = 1000;
    CHECK(client.send(wire::kFallocate, node, in, "").outcome == 0);
    CHECK(mtime() == 2000);
    CHECK(content_of(path + "/file").substr(0, 6) == std::string("bytes\0", 6));
  });
}

TEST("names of trusted attributes are listed for root alone") {
  with_handlers({}, [](Client& client, const std::string& path, Handler&) {
    put(path + "/file", "");
    for (const char* name : {"trusted.a", "user.b", "trusted.c", "user.d"}) {
      if (setxattr((path + "/file").c_str(), name, "1", 1, 0) != 0) return;  // not root, or no attributes here
    }
    const uint64_t node = client.lookup(wire::kRootNode, "file").node;
    const auto list = [&](uint32_t size) {
      wire::GetxattrIn in = {};
      in.size = size;
      return client.send(wire::kListxattr, node, in, "");
    };
    CHECK(list(0).as<wire::GetxattrOut>().size >= 34);
    CHECK(list(1000).bytes.find("trusted.c") != std::string::npos);
    client.user = 1000;
    const std::string seen = list(1000).bytes;
    CHECK(seen.find("trusted") == std::string::npos && seen.find("user.b") != std::string::npos);
    CHECK(list(0).as<wire::GetxattrOut>().size == seen.size());
    CHECK(list(static_cast<uint32_t>(seen.size())).bytes == seen);
    CHECK(list(static_cast<uint32_t>(seen.size()) - 1).outcome == ERANGE);
  });
}

TEST("the label of the file system below can be asked for") {
  with_handlers({}, [](Client& client, const std::string& path, Handler&) {
    uint64_t handle = 0;
    const uint64_t node = client.create(wire::kRootNode, "file", &handle);
    wire::IoctlIn in = {};
    in.handle = handle;
    in.command = FS_IOC_GETFSLABEL;
    in.out_size = FSLABEL_MAX;
    const Answer answer = client.send(wire::kIoctl, node, in, "");
    const FileDescriptor below(open((path + "/file").c_str(), O_RDONLY | O_CLOEXEC));
    char label[FSLABEL_MAX] = {};
    const int expected = ioctl(below.get(), FS_IOC_GETFSLABEL, label) == 0 ? 0 : errno;
    CHECK(answer.outcome == expected);
    if (expected == 0) CHECK(answer.bytes.substr(sizeof(wire::IoctlOut)) == std::string(label, sizeof label));
  });
}

TEST("what is never released or forgotten is closed with its handler") {
  const size_t before = open_descriptors();
  with_handlers({}, [&](Client& client, const std::string& path, Handler&) {
    for (int i = 0; i < 20; i++) {
      uint64_t handle = 0;
      const std::string name = std::to_string(i);
      client.create(wire::kRootNode, name, &handle);
      if (i % 2 == 0) CHECK(client.send(wire::kUnlink, wire::kRootNode, Client::z(name)).outcome == 0);
      CHECK(mkdir((path + "/d" + name).c_str(), 0755) == 0);
      client.send(wire::kOpendir, client.lookup(wire::kRootNode, "d" + name).node, wire::OpenIn{}, "");
    }
    CHECK(open_descriptors() > before + 20);
  });
  CHECK(open_descriptors() == before);
}
