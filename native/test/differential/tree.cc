#include "tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>

namespace {

using LinkGroups = std::map<ino_t, std::string>;

// FNV-1a (Fowler, Noll, Vo): enough to tell contents apart in a test.
uint64_t checksum_of(int directory, const char* name) {
  uint64_t sum = 14695981039346656037ull;
  const int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  char buffer[65536];
  ssize_t length = 0;
  while (fd >= 0 && (length = read(fd, buffer, sizeof buffer)) > 0) {
    for (ssize_t i = 0; i < length; i++) sum = (sum ^ static_cast<unsigned char>(buffer[i])) * 1099511628211ull;
  }
  if (fd >= 0) close(fd);
  return sum;
}

std::string xattrs_of(const std::string& path) {
  char names[8192];
  const ssize_t length = llistxattr(path.c_str(), names, sizeof names);
  std::vector<std::string> pairs;
  for (const char* at = names; length > 0 && at < names + length; at += std::strlen(at) + 1) {
    char value[8192];
    const ssize_t size = lgetxattr(path.c_str(), at, value, sizeof value);
    pairs.push_back(std::string(at) + "=" + std::string(value, size < 0 ? 0 : static_cast<size_t>(size)));
  }
  std::sort(pairs.begin(), pairs.end());
  std::string all;
  for (const auto& pair : pairs) all += pair + ";";
  return all;
}

void walk(int directory, const std::string& path, LinkGroups& groups, std::vector<std::string>& lines) {
  DIR* stream = fdopendir(directory);
  std::vector<std::string> names;
  while (const dirent* entry = stream ? readdir(stream) : nullptr) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  for (const auto& name : names) {
    const std::string here = path + "/" + name;
    struct stat st;
    if (fstatat(dirfd(stream), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0) {
      lines.push_back(here + " has no attributes");
      continue;
    }
    char text[200];
    const bool file = S_ISREG(st.st_mode);
    std::snprintf(text, sizeof text, " mode %o owner %u:%u size %lld links %lu sum %016llx", st.st_mode, st.st_uid, st.st_gid,
                  file ? static_cast<long long>(st.st_size) : 0LL, S_ISDIR(st.st_mode) ? 0UL : st.st_nlink,
                  file ? static_cast<unsigned long long>(checksum_of(dirfd(stream), name.c_str())) : 0ULL);
    const std::string first = st.st_nlink > 1 && !S_ISDIR(st.st_mode) ? groups.emplace(st.st_ino, here).first->second : "";
    const std::string magic = "/proc/self/fd/" + std::to_string(dirfd(stream)) + "/" + name;
    lines.push_back(here + text + " same as " + first + " xattrs " + xattrs_of(magic));
    if (S_ISDIR(st.st_mode)) {
      const int child = openat(dirfd(stream), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (child >= 0) walk(child, here, groups, lines);
    }
  }
  if (stream) closedir(stream);
}

}  // namespace

std::vector<std::string> tree_lines(const std::string& directory) {
  LinkGroups groups;
  std::vector<std::string> lines;
  const int top = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (top >= 0) walk(top, "", groups, lines);
  return lines;
}
