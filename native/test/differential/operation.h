// One random operation, small and flat so that it crosses a socket to the process that performs it, and what came of it.
#pragma once

#include <cstdint>
#include <string>

enum class Kind : uint32_t {
  kOpen, kClose, kWrite, kAppendWrite, kRead, kTruncate, kFtruncate, kMkdir, kRmdir, kUnlink, kRename,
  kLink, kSymlink, kReadlink, kMknod, kChmod, kChown, kUtimens, kStat, kFstat, kAccess, kList, kSeekData, kSeekHole,
  kFallocate, kCopyRange, kSetXattr, kGetXattr, kListXattr, kRemoveXattr, kFlock, kRangeLock, kMapWrite, kMapRead,
  kFsync, kTmpfile, kLinkTmpfile, kOpenFollowing, kFchmod, kFchown, kFutimens, kStatfs, kSetAcl, kGetAcl, kFlaggedWrite, kSendfile,
  kOfdLock, kTellLock, kKeepMapping, kUseMapping, kCount,
};

constexpr int kSlots = 6;        // open files of one process on each side
constexpr int kMappings = 3;     // mappings that it keeps
constexpr int kPathBytes = 640;  // three names of the longest kind, "/" between

struct Operation {
  Kind kind;
  uint32_t flags;   // open flags, rename flags, fallocate mode, lock type, permission bits, as the kind wants
  uint32_t slot;
  uint32_t slot2;
  uint64_t offset;
  uint64_t length;
  uint64_t offset2;
  uint64_t seed;    // of the bytes written
  char path[kPathBytes];
  char path2[kPathBytes];
};

struct Outcome {
  int64_t value = 0;   // what the call returned, where that is comparable
  int error = 0;       // errno, 0 when it succeeded
  std::string detail;  // bytes read, names listed, attributes: anything else that must be equal

  bool operator==(const Outcome&) const = default;
  std::string text() const;
};

const char* name_of(Kind kind);
std::string text_of(const Operation& operation);
