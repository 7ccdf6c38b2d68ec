// Where data and holes of a file begin, although the kernel may hold pages of it that were not written yet: the kernel
// asks (LSEEK) without writing them first.
#ifndef COVAULT_HOLES_H_
#define COVAULT_HOLES_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>

namespace covault {

// lseek(2) on the file below: an offset, or -errno.
using SeekBelow = std::function<off_t(off_t offset, int whence)>;
// Makes the kernel write out what it holds of a range; length 0 = to the end. False: not possible now.
using WriteOut = std::function<bool(off_t offset, off_t length)>;

// SEEK_DATA or SEEK_HOLE from `offset` as the file is once all pages are written, or -errno (ENXIO as lseek(2);
// ENOSYS if `write_out` was not possible). What was not written yet only ever turns holes into data, or makes the file
// longer, so only what is a hole below is written out: pages of data stay in the kernel's cache.
// Nothing may write to the file meanwhile but the kernel's own pages (it holds the inode's lock over LSEEK).
off_t seek_written(off_t offset, int whence, const SeekBelow& seek, const WriteOut& write_out);

}  // namespace covault

#endif  // COVAULT_HOLES_H_
