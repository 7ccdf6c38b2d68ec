// Drives the system-call workloads of the mount benchmark. One workload a run; prints the seconds of its inner loop, so
// that neither process start nor preparation counts. Built by the benchmark with `c++ -O2`; needs nothing but libc.
//
//   driver WORKLOAD DIRECTORY COUNT
//
// Files of the small-file workloads are DIRECTORY/NN/FFFFFF, 1,000 to a directory.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace {

constexpr size_t kSmallFileBytes = 8192;
constexpr size_t kStreamChunkBytes = 1 << 20;
constexpr size_t kRandomWriteBytes = 4096;
constexpr uint64_t kRandomFileBytes = 512ull << 20;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "driver: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

int check(int result, const std::string& what) {
  if (result < 0) fail(what);
  return result;
}

std::string directory_of(const std::string& base, size_t file) { return base + "/" + std::to_string(file / 1000); }

std::vector<std::string> file_names(const std::string& base, size_t count, const char* prefix = "f") {
  std::vector<std::string> names;
  names.reserve(count);
  for (size_t i = 0; i < count; i++) names.push_back(directory_of(base, i) + "/" + prefix + std::to_string(i));
  return names;
}

void make_directories(const std::string& base, size_t count) {
  for (size_t i = 0; i < count; i += 1000) {
    if (mkdir(directory_of(base, i).c_str(), 0755) < 0 && errno != EEXIST) fail("mkdir");
  }
}

void create_files(const std::vector<std::string>& names) {
  const std::vector<char> content(kSmallFileBytes, 'c');
  for (const auto& name : names) {
    const int fd = check(open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644), name);
    if (write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size())) fail(name);
    check(close(fd), name);
  }
}

void create_empty_files(const std::vector<std::string>& names) {
  for (const auto& name : names) check(close(check(open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644), name)), name);
}

void look_up_files(const std::vector<std::string>& names) {
  struct stat st;
  for (const auto& name : names) check(stat(name.c_str(), &st), name);
}

void stat_files(const std::vector<std::string>& names) {
  for (int pass = 0; pass < 200; pass++) look_up_files(names);
}

void open_and_read(const std::vector<std::string>& names, int passes) {
  char buffer[kSmallFileBytes];
  for (int pass = 0; pass < passes; pass++) {
    for (const auto& name : names) {
      const int fd = check(open(name.c_str(), O_RDONLY), name);
      if (read(fd, buffer, sizeof buffer) < 0) fail(name);
      check(close(fd), name);
    }
  }
}

void read_directories(const std::string& base, size_t count, int passes) {
  for (int pass = 0; pass < passes; pass++) {
    for (size_t i = 0; i < count; i += 1000) {
      DIR* directory = opendir(directory_of(base, i).c_str());
      if (!directory) fail("opendir");
      size_t entries = 0;
      while (readdir(directory)) entries++;
      if (entries < 3) fail("readdir");
      closedir(directory);
    }
  }
}

// What a mount may remember: attributes, names and contents.
void see(const std::string& base, const std::vector<std::string>& names) {
  look_up_files(names);
  open_and_read(names, 1);
  for (int pass = 0; pass < 2; pass++) read_directories(base, names.size(), 1);
}

void rename_files(const std::vector<std::string>& from, const std::vector<std::string>& to) {
  for (size_t i = 0; i < from.size(); i++) check(rename(from[i].c_str(), to[i].c_str()), from[i]);
}

void unlink_files(const std::vector<std::string>& names) {
  for (const auto& name : names) check(unlink(name.c_str()), name);
}

void stream_write(const std::string& name, size_t mebibytes) {
  const std::vector<char> chunk(kStreamChunkBytes, 's');
  const int fd = check(open(name.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644), name);
  for (size_t i = 0; i < mebibytes; i++) {
    if (write(fd, chunk.data(), chunk.size()) != static_cast<ssize_t>(chunk.size())) fail(name);
  }
  check(fsync(fd), name);
  check(close(fd), name);
}

void stream_read(const std::string& name) {
  std::vector<char> chunk(kStreamChunkBytes);
  const int fd = check(open(name.c_str(), O_RDONLY), name);
  ssize_t got = 0;
  while ((got = read(fd, chunk.data(), chunk.size())) > 0) {
  }
  if (got < 0) fail(name);
  check(close(fd), name);
}

void random_writes(const std::string& name, size_t count, bool sync) {
  const std::vector<char> chunk(kRandomWriteBytes, 'r');
  const int fd = check(open(name.c_str(), O_WRONLY), name);
  uint64_t state = 88172645463325252ull;  // xorshift64 (Marsaglia 2003): the same offsets on every side
  for (size_t i = 0; i < count; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    const off_t offset = static_cast<off_t>(state % (kRandomFileBytes / kRandomWriteBytes) * kRandomWriteBytes);
    if (pwrite(fd, chunk.data(), chunk.size(), offset) != static_cast<ssize_t>(chunk.size())) fail(name);
  }
  if (sync) check(fsync(fd), name);
  check(close(fd), name);
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: driver WORKLOAD DIRECTORY COUNT\n");
    return 2;
  }
  const std::string workload = argv[1];
  const std::string base = argv[2];
  const size_t count = std::strtoull(argv[3], nullptr, 10);
  const auto names = file_names(base, count);
  const std::map<std::string, std::function<void()>> workloads{
      {"stat", [&] { stat_files(names); }},
      {"open-read", [&] { open_and_read(names, 10); }},
      {"readdir", [&] { read_directories(base, count, 300); }},
      {"see", [&] { see(base, names); }},
      {"create", [&] { create_files(names); }},
      {"create-empty", [&] { create_empty_files(names); }},
      {"look-up", [&] { look_up_files(names); }},
      {"rename", [&] { rename_files(names, file_names(base, count, "renamed")); }},
      {"unlink", [&] { unlink_files(file_names(base, count, "renamed")); }},
      {"stream-write", [&] { stream_write(base + "/stream", count); }},
      {"stream-read", [&] { stream_read(base + "/stream"); }},
      {"random-write", [&] { random_writes(base + "/random", count, false); }},
      {"random-write-fsync", [&] { random_writes(base + "/random", count, true); }},
  };
  const auto found = workloads.find(workload);
  if (found == workloads.end()) {
    std::fprintf(stderr, "driver: no workload %s\n", workload.c_str());
    return 2;
  }
  if (workload.starts_with("create")) make_directories(base, count);
  std::printf("%.6f\n", seconds_of(found->second));
  return 0;
}
