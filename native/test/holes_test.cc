// Data and holes while the kernel holds pages that are not written yet, on a made-up file of one byte a block.
#include "holes.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "check.h"

using namespace covault;

namespace {

// '.' is a hole, anything else data. `dirty` holds what the kernel has not written, ' ' where it holds nothing.
struct File {
  std::string below;
  std::string dirty;
  size_t dropped = 0;  // pages of data below that were dropped for nothing

  off_t seek(off_t offset, int whence) const {
    if (offset >= static_cast<off_t>(below.size())) return -ENXIO;
    for (size_t at = static_cast<size_t>(offset); at < below.size(); at++) {
      if ((below[at] == '.') == (whence == SEEK_HOLE)) return static_cast<off_t>(at);
    }
    return whence == SEEK_HOLE ? static_cast<off_t>(below.size()) : -ENXIO;
  }

  bool write_out(off_t offset, off_t length) {
    const size_t end = length == 0 ? std::max(below.size(), dirty.size()) : static_cast<size_t>(offset + length);
    for (auto at = static_cast<size_t>(offset); at < end; at++) {
      if (at < below.size() && below[at] != '.') dropped++;
      if (at >= dirty.size() || dirty[at] == ' ') continue;
      if (at >= below.size()) below.resize(at + 1, '.');
      below[at] = dirty[at];
      dirty[at] = ' ';
    }
    return true;
  }

  off_t seek_written(off_t offset, int whence) {
    return covault::seek_written(
        offset, whence, [this](off_t from, int what) { return seek(from, what); },
        [this](off_t from, off_t length) { return write_out(from, length); });
  }
};

// The file as it is once everything is written.
File written(File file) {
  file.write_out(0, 0);
  return file;
}

}  // namespace

TEST("data and holes are found as if everything had been written") {
  for (const std::string below : {"", "dd", "....", "dd..dd", "..dd..", "d.d.d.d."}) {
    for (const std::string dirty : {"", "x", "  x", "  xx", "   x  ", "      x", "    xxxxxxxx", " x x x x", "        x"}) {
      const File after = written({below, dirty});
      for (off_t offset = 0; offset < 14; offset++) {
        for (const int whence : {SEEK_DATA, SEEK_HOLE}) {
          File file{below, dirty};
          CHECK(file.seek_written(offset, whence) == after.seek(offset, whence));
        }
      }
    }
  }
}

TEST("pages of data stay in the kernel") {
  File file{"dddd....dddd", ""};
  CHECK(file.seek_written(0, SEEK_DATA) == 0);
  CHECK(file.seek_written(0, SEEK_HOLE) == 4);
  CHECK(file.seek_written(5, SEEK_DATA) == 8);
  CHECK(file.seek_written(8, SEEK_HOLE) == 12);
  CHECK(file.dropped == 0);
}

TEST("what cannot be known is left to the kernel; a place before the file is no place") {
  const auto seek = [](off_t, int) -> off_t { return -ENXIO; };
  const auto busy = [](off_t, off_t) { return false; };
  CHECK(seek_written(0, SEEK_DATA, seek, busy) == -ENOSYS);
  CHECK(seek_written(0, SEEK_HOLE, seek, busy) == -ENOSYS);
  CHECK(seek_written(-1, SEEK_DATA, seek, busy) == -ENXIO);
}
