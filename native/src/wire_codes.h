// Numbers of the FUSE wire format, protocol 7.31 to 7.45: versions, opcodes, flags. The structures are in wire.h.
#ifndef COVAULT_WIRE_CODES_H_
#define COVAULT_WIRE_CODES_H_

#include <cstddef>
#include <cstdint>

namespace covault::wire {

inline constexpr uint32_t kMajor = 7;
inline constexpr uint32_t kMinor = 45;
// Oldest minor version served (Linux 5.4): before it, structures had other sizes.
inline constexpr uint32_t kMinorMin = 31;
inline constexpr uint64_t kRootNode = 1;
inline constexpr size_t kPageBytes = 4096;

enum Opcode : uint32_t {
  kLookup = 1,
  kForget = 2,  // no reply
  kGetattr = 3,
  kSetattr = 4,
  kReadlink = 5,
  kSymlink = 6,
  kMknod = 8,
  kMkdir = 9,
  kUnlink = 10,
  kRmdir = 11,
  kRename = 12,
  kLink = 13,
  kOpen = 14,
  kRead = 15,
  kWrite = 16,
  kStatfs = 17,
  kRelease = 18,
  kFsync = 20,
  kSetxattr = 21,
  kGetxattr = 22,
  kListxattr = 23,
  kRemovexattr = 24,
  kFlush = 25,
  kInit = 26,
  kOpendir = 27,
  kReaddir = 28,
  kReleasedir = 29,
  kFsyncdir = 30,
  kGetlk = 31,
  kSetlk = 32,
  kSetlkw = 33,
  kAccess = 34,
  kCreate = 35,
  kInterrupt = 36,  // no reply needed
  kBmap = 37,
  kDestroy = 38,
  kIoctl = 39,
  kPoll = 40,
  kNotifyReply = 41,  // no reply
  kBatchForget = 42,  // no reply
  kFallocate = 43,
  kReaddirplus = 44,
  kRename2 = 45,
  kLseek = 46,
  kCopyFileRange = 47,
  kSyncfs = 50,
  kTmpfile = 51,
  kStatx = 52,
  kCopyFileRange64 = 53,
  kOpcodeCount = 54,
};

// Flags of INIT; bits 32 and up travel in flags2.
enum InitFlag : uint64_t {
  kInitAsyncRead = 1ull << 0,
  kInitAtomicTruncate = 1ull << 3,
  kInitExportSupport = 1ull << 4,
  kInitBigWrites = 1ull << 5,
  kInitDontMask = 1ull << 6,
  kInitAutoInvalidateData = 1ull << 12,
  kInitReaddirplus = 1ull << 13,
  kInitReaddirplusAuto = 1ull << 14,
  kInitAsyncDirectIo = 1ull << 15,
  kInitWritebackCache = 1ull << 16,
  kInitNoOpenSupport = 1ull << 17,
  kInitParallelDirectoryOperations = 1ull << 18,
  kInitPosixAcl = 1ull << 20,
  kInitAbortError = 1ull << 21,
  kInitMaxPages = 1ull << 22,
  kInitCacheSymlinks = 1ull << 23,
  kInitNoOpendirSupport = 1ull << 24,
  kInitExplicitInvalidateData = 1ull << 25,
  kInitKillPrivilegesV2 = 1ull << 28,
  kInitSetxattrExtended = 1ull << 29,
  kInitExtended = 1ull << 30,
  kInitCreateSupplementaryGroup = 1ull << 34,
  kInitDirectIoAllowMmap = 1ull << 36,
  kInitNoExportSupport = 1ull << 38,
  kInitOverIoUring = 1ull << 41,
};

enum OpenFlag : uint32_t {
  kOpenDirectIo = 1u << 0,
  kOpenKeepCache = 1u << 1,
  kOpenCacheDirectory = 1u << 3,
  kOpenNoFlush = 1u << 5,
  kOpenParallelDirectWrites = 1u << 6,
};

enum SetattrValid : uint32_t {
  kSetMode = 1u << 0,
  kSetUid = 1u << 1,
  kSetGid = 1u << 2,
  kSetSize = 1u << 3,
  kSetAtime = 1u << 4,
  kSetMtime = 1u << 5,
  kSetHandle = 1u << 6,
  kSetAtimeNow = 1u << 7,
  kSetMtimeNow = 1u << 8,
  kSetLockOwner = 1u << 9,
  kSetCtime = 1u << 10,
  kSetKillSuidgid = 1u << 11,
};

inline constexpr uint32_t kGetattrHandle = 1u << 0;
inline constexpr uint32_t kWriteCache = 1u << 0;        // from the page cache: handle and caller are guesses
inline constexpr uint32_t kWriteKillSuidgid = 1u << 2;  // the writer may not keep setuid and setgid
inline constexpr uint32_t kOpenKillSuidgid = 1u << 0;   // with O_TRUNC, likewise
inline constexpr uint32_t kSetxattrAclKillSgid = 1u << 0;
inline constexpr uint32_t kFsyncDataOnly = 1u << 0;
inline constexpr uint32_t kIoctlCompat = 1u << 0;
inline constexpr uint32_t kIoctlUnrestricted = 1u << 1;
inline constexpr uint32_t kIoctlDirectory = 1u << 4;

// Codes of notifications (out header with unique = 0).
enum Notify : int32_t {
  kNotifyInvalidateInode = 2,
  kNotifyInvalidateEntry = 3,
  kNotifyRetrieve = 5,
  kNotifyDelete = 6,
  kNotifyPrune = 9,
};

// FUSE_DEV_IOC_CLONE: makes a freshly opened /dev/fuse a further channel of the session of the given descriptor.
inline constexpr unsigned long kIoctlCloneDevice = 0x8004e500ul;

}  // namespace covault::wire

#endif  // COVAULT_WIRE_CODES_H_
