// Operations by which processes meet in one file: locks, and mappings that stay.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "side.h"

namespace {

constexpr off_t kPageBytes = 4096;

}  // namespace

Outcome Side::on_lock(const Operation& op) {
  const int slot = slots_[op.slot];
  if (op.kind == Kind::kFlock) return outcome_of(flock(slot, static_cast<int>(op.flags) | LOCK_NB));
  struct flock lock{};
  lock.l_type = static_cast<short>(op.flags % 3);
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(op.offset);
  lock.l_len = static_cast<off_t>(op.length);
  if (op.kind == Kind::kRangeLock) return outcome_of(fcntl(slot, F_SETLK, &lock));
  if (op.kind == Kind::kOfdLock) return outcome_of(fcntl(slot, F_OFD_SETLK, &lock));
  if (lock.l_type == F_UNLCK) lock.l_type = F_RDLCK;
  if (fcntl(slot, op.flags & 8 ? F_OFD_GETLK : F_GETLK, &lock) < 0) return outcome_of(-1);
  if (lock.l_type == F_UNLCK) return {};
  return {lock.l_type, 0,
          std::to_string(lock.l_start) + " " + std::to_string(lock.l_len) + " of " + std::to_string(lock.l_pid)};
}

void Side::drop(int mapping) {
  Mapping& old = mappings_[mapping];
  if (old.memory == nullptr) return;
  munmap(old.memory, old.length);
  close(old.fd);
  old = {};
}

// Maps a few pages of an open file, shared or private, for later operations.
Outcome Side::keep_mapping(const Operation& op) {
  const int which = static_cast<int>(op.slot2 % kMappings);
  drop(which);
  struct stat st;
  const int fd = slots_[op.slot];
  if (fstat(fd, &st) < 0) return outcome_of(-1);
  if (!S_ISREG(st.st_mode)) return {};
  Mapping made;
  made.length = static_cast<size_t>(kPageBytes) * (1 + op.length % 32);
  made.offset = static_cast<off_t>(op.offset) & ~(kPageBytes - 1);
  made.writable = (op.flags & 1) != 0;
  const int protection = made.writable ? PROT_READ | PROT_WRITE : PROT_READ;
  made.memory = mmap(nullptr, made.length, protection, op.flags & 2 ? MAP_PRIVATE : MAP_SHARED, fd, made.offset);
  if (made.memory == MAP_FAILED) return outcome_of(-1);
  made.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  mappings_[which] = made;
  return {};
}

// Reads or stores within one page of a mapping that was kept, as far as the file now reaches.
Outcome Side::use_mapping(const Operation& op) {
  const Mapping& mapping = mappings_[op.slot2 % kMappings];
  if (mapping.memory == nullptr) return {};
  struct stat st;
  if (fstat(mapping.fd, &st) < 0) return outcome_of(-1);
  const auto place = static_cast<off_t>(op.offset % mapping.length);
  const off_t end = std::min({st.st_size - mapping.offset, (place / kPageBytes + 1) * kPageBytes, place + 500});
  if (end <= place) return {};
  const auto length = static_cast<size_t>(end - place);
  char* memory = static_cast<char*>(mapping.memory) + place;
  if (!mapping.writable || (op.flags & 1) != 0) return {0, 0, std::string(memory, length)};
  const auto bytes = bytes_of(op.seed, length);
  std::memcpy(memory, bytes.data(), length);
  if (op.flags & 2) return outcome_of(msync(mapping.memory, mapping.length, op.flags & 4 ? MS_SYNC : MS_ASYNC));
  return {};
}
