#include "file_handle.h"

#include <fcntl.h>

#include <cstring>
#include <limits>

namespace covault {

namespace {

// Room for a struct file_handle with FileHandle::kBytesMax bytes.
struct Buffer {
  alignas(struct file_handle) std::byte memory[sizeof(struct file_handle) + FileHandle::kBytesMax];
  struct file_handle* get() {
    return reinterpret_cast<struct file_handle*>(memory);
  }
};

}  // namespace

FileHandle FileHandle::of(int fd, const char* name) {
  Buffer buffer;
  struct file_handle* raw = buffer.get();
  raw->handle_bytes = kBytesMax;
  int mount = 0;
  if (name_to_handle_at(fd, name, raw, &mount, *name == 0 ? AT_EMPTY_PATH : 0) != 0) return {};
  if (raw->handle_type < 0 || raw->handle_type > std::numeric_limits<uint8_t>::max()) return {};
  FileHandle handle;
  handle.type = static_cast<uint8_t>(raw->handle_type);
  handle.bytes = static_cast<uint8_t>(raw->handle_bytes);
  std::memcpy(handle.data.data(), raw->f_handle, handle.bytes);
  return handle;
}

int FileHandle::open(int mount_fd, int flags) const {
  Buffer buffer;
  struct file_handle* raw = buffer.get();
  raw->handle_bytes = bytes;
  raw->handle_type = type;
  std::memcpy(raw->f_handle, data.data(), bytes);
  return open_by_handle_at(mount_fd, raw, flags);
}

}  // namespace covault
