#include "holes.h"

#include <unistd.h>

#include <cerrno>

namespace covault {

namespace {

off_t seek_data(off_t offset, const SeekBelow& seek, const WriteOut& write_out) {
  const off_t found = seek(offset, SEEK_DATA);
  if (found == offset || (found < 0 && found != -ENXIO)) return found;
  if (!write_out(offset, found < 0 ? 0 : found - offset)) return -ENOSYS;
  return seek(offset, SEEK_DATA);
}

off_t seek_hole(off_t offset, const SeekBelow& seek, const WriteOut& write_out) {
  off_t hole = seek(offset, SEEK_HOLE);
  if (hole == -ENXIO) hole = offset;  // behind the end below, but perhaps not behind the end with all pages written
  if (hole < 0) return hole;
  const off_t data = seek(hole, SEEK_DATA);
  if (data < 0 && data != -ENXIO) return data;
  if (!write_out(hole, data < 0 ? 0 : data - hole)) return -ENOSYS;
  const off_t found = seek(offset, SEEK_HOLE);
  if (found == hole || found < 0) return found;
  // The hole was full of new content. What follows may be the same again: all of it at once, not hole by hole.
  if (!write_out(found, 0)) return -ENOSYS;
  return seek(offset, SEEK_HOLE);
}

}  // namespace

off_t seek_written(off_t offset, int whence, const SeekBelow& seek, const WriteOut& write_out) {
  if (offset < 0) return -ENXIO;
  return whence == SEEK_DATA ? seek_data(offset, seek, write_out) : seek_hole(offset, seek, write_out);
}

}  // namespace covault
