// The FUSE wire format as Linux speaks it on 64-bit machines, protocol 7.31 to 7.45: structures of the requests that
// the engine answers; their numbers are in wire_codes.h. All fields are in host byte order. Every size is checked at
// compile time.
#ifndef COVAULT_WIRE_H_
#define COVAULT_WIRE_H_

#include <cstddef>
#include <cstdint>

#include "wire_codes.h"

namespace covault::wire {

struct InHeader {
  uint32_t len;  // of the whole request
  uint32_t opcode;
  uint64_t unique;
  uint64_t node;
  uint32_t uid;
  uint32_t gid;
  uint32_t pid;
  uint16_t extension_words;  // length of the extensions at the end, in units of 8 bytes
  uint16_t padding;
};
static_assert(sizeof(InHeader) == 40);

struct OutHeader {
  uint32_t len;
  int32_t error;  // 0 or a negative errno
  uint64_t unique;
};
static_assert(sizeof(OutHeader) == 16);

struct Attributes {
  uint64_t ino;
  uint64_t size;
  uint64_t blocks;
  uint64_t atime;
  uint64_t mtime;
  uint64_t ctime;
  uint32_t atime_ns;
  uint32_t mtime_ns;
  uint32_t ctime_ns;
  uint32_t mode;
  uint32_t nlink;
  uint32_t uid;
  uint32_t gid;
  uint32_t rdev;
  uint32_t block_bytes;
  uint32_t flags;
};
static_assert(sizeof(Attributes) == 88);

struct EntryOut {
  uint64_t node;
  uint64_t generation;
  uint64_t entry_valid;
  uint64_t attributes_valid;
  uint32_t entry_valid_ns;
  uint32_t attributes_valid_ns;
  Attributes attributes;
};
static_assert(sizeof(EntryOut) == 128);

struct AttributesOut {
  uint64_t valid;
  uint32_t valid_ns;
  uint32_t padding;
  Attributes attributes;
};
static_assert(sizeof(AttributesOut) == 104);

struct StatxTime {
  int64_t seconds;
  uint32_t ns;
  int32_t reserved;
};

struct Statx {
  uint32_t mask;
  uint32_t block_bytes;
  uint64_t attributes;
  uint32_t nlink;
  uint32_t uid;
  uint32_t gid;
  uint16_t mode;
  uint16_t spare0;
  uint64_t ino;
  uint64_t size;
  uint64_t blocks;
  uint64_t attributes_mask;
  StatxTime atime;
  StatxTime btime;
  StatxTime ctime;
  StatxTime mtime;
  uint32_t rdev_major;
  uint32_t rdev_minor;
  uint32_t dev_major;
  uint32_t dev_minor;
  uint64_t spare2[14];
};
static_assert(sizeof(Statx) == 256);

struct StatxIn {
  uint32_t getattr_flags;
  uint32_t reserved;
  uint64_t handle;
  uint32_t flags;
  uint32_t mask;
};
static_assert(sizeof(StatxIn) == 24);

struct StatxOut {
  uint64_t valid;
  uint32_t valid_ns;
  uint32_t flags;
  uint64_t spare[2];
  Statx stat;
};
static_assert(sizeof(StatxOut) == 288);

struct ForgetIn {
  uint64_t lookups;
};
struct ForgetOne {
  uint64_t node;
  uint64_t lookups;
};
struct BatchForgetIn {
  uint32_t count;
  uint32_t padding;
};
static_assert(sizeof(ForgetIn) == 8 && sizeof(ForgetOne) == 16 && sizeof(BatchForgetIn) == 8);

struct GetattrIn {
  uint32_t flags;
  uint32_t padding;
  uint64_t handle;
};
static_assert(sizeof(GetattrIn) == 16);

struct SetattrIn {
  uint32_t valid;
  uint32_t padding;
  uint64_t handle;
  uint64_t size;
  uint64_t lock_owner;
  uint64_t atime;
  uint64_t mtime;
  uint64_t ctime;
  uint32_t atime_ns;
  uint32_t mtime_ns;
  uint32_t ctime_ns;
  uint32_t mode;
  uint32_t unused4;
  uint32_t uid;
  uint32_t gid;
  uint32_t unused5;
};
static_assert(sizeof(SetattrIn) == 88);

struct MknodIn {
  uint32_t mode;
  uint32_t rdev;
  uint32_t umask;
  uint32_t padding;
};
struct MkdirIn {
  uint32_t mode;
  uint32_t umask;
};
struct RenameIn {
  uint64_t new_parent;
};
struct Rename2In {
  uint64_t new_parent;
  uint32_t flags;
  uint32_t padding;
};
struct LinkIn {
  uint64_t node;
};
static_assert(sizeof(MknodIn) == 16 && sizeof(MkdirIn) == 8 && sizeof(RenameIn) == 8 && sizeof(Rename2In) == 16);

struct OpenIn {
  uint32_t flags;
  uint32_t open_flags;  // kOpenKillSuidgid
};
struct OpenOut {
  uint64_t handle;
  uint32_t open_flags;
  int32_t backing_id;
};
struct CreateIn {  // also of TMPFILE
  uint32_t flags;
  uint32_t mode;
  uint32_t umask;
  uint32_t open_flags;
};
struct ReleaseIn {
  uint64_t handle;
  uint32_t flags;
  uint32_t release_flags;
  uint64_t lock_owner;
};
struct FlushIn {
  uint64_t handle;
  uint32_t unused;
  uint32_t padding;
  uint64_t lock_owner;
};
static_assert(sizeof(OpenIn) == 8 && sizeof(OpenOut) == 16 && sizeof(CreateIn) == 16 && sizeof(ReleaseIn) == 24 &&
              sizeof(FlushIn) == 24);

struct ReadIn {  // also of READDIR and READDIRPLUS
  uint64_t handle;
  uint64_t offset;
  uint32_t size;
  uint32_t read_flags;
  uint64_t lock_owner;
  uint32_t flags;
  uint32_t padding;
};
struct WriteIn {
  uint64_t handle;
  uint64_t offset;
  uint32_t size;
  uint32_t write_flags;
  uint64_t lock_owner;
  uint32_t flags;
  uint32_t padding;
};
struct WriteOut {
  uint32_t size;
  uint32_t padding;
};
static_assert(sizeof(ReadIn) == 40 && sizeof(WriteIn) == 40 && sizeof(WriteOut) == 8);

struct StatfsOut {
  uint64_t blocks;
  uint64_t blocks_free;
  uint64_t blocks_available;
  uint64_t files;
  uint64_t files_free;
  uint32_t block_bytes;
  uint32_t name_bytes_max;
  uint32_t fragment_bytes;
  uint32_t padding;
  uint32_t spare[6];
};
static_assert(sizeof(StatfsOut) == 80);

struct FsyncIn {
  uint64_t handle;
  uint32_t flags;
  uint32_t padding;
};
struct SyncfsIn {
  uint64_t padding;
};
static_assert(sizeof(FsyncIn) == 16 && sizeof(SyncfsIn) == 8);

inline constexpr size_t kSetxattrInShortBytes = 8;  // without kInitSetxattrExtended
struct SetxattrIn {
  uint32_t size;
  uint32_t flags;
  uint32_t setxattr_flags;
  uint32_t padding;
};
struct GetxattrIn {  // also of LISTXATTR
  uint32_t size;
  uint32_t padding;
};
struct GetxattrOut {
  uint32_t size;
  uint32_t padding;
};
static_assert(sizeof(SetxattrIn) == 16 && sizeof(GetxattrIn) == 8 && sizeof(GetxattrOut) == 8);

struct InitIn {
  uint32_t major;
  uint32_t minor;
  uint32_t max_readahead;
  uint32_t flags;
  uint32_t flags2;  // only with kInitExtended
  uint32_t unused[11];
};
inline constexpr size_t kInitInShortBytes = 16;  // before kInitExtended
struct InitOut {
  uint32_t major;
  uint32_t minor;
  uint32_t max_readahead;
  uint32_t flags;
  uint16_t max_background;
  uint16_t congestion_threshold;
  uint32_t max_write;
  uint32_t time_granularity;
  uint16_t max_pages;
  uint16_t map_alignment;
  uint32_t flags2;
  uint32_t max_stack_depth;
  uint16_t request_timeout;
  uint16_t unused[11];
};
static_assert(sizeof(InitIn) == 64 && sizeof(InitOut) == 64);

struct InterruptIn {
  uint64_t unique;
};

struct IoctlIn {
  uint64_t handle;
  uint32_t flags;
  uint32_t command;
  uint64_t argument;
  uint32_t in_size;
  uint32_t out_size;
};
struct IoctlOut {
  int32_t result;
  uint32_t flags;
  uint32_t in_iovs;
  uint32_t out_iovs;
};
static_assert(sizeof(IoctlIn) == 32 && sizeof(IoctlOut) == 16);

struct FallocateIn {
  uint64_t handle;
  uint64_t offset;
  uint64_t length;
  uint32_t mode;
  uint32_t padding;
};
struct LseekIn {
  uint64_t handle;
  uint64_t offset;
  uint32_t whence;
  uint32_t padding;
};
struct LseekOut {
  uint64_t offset;
};
struct CopyFileRangeIn {
  uint64_t handle_in;
  uint64_t offset_in;
  uint64_t node_out;
  uint64_t handle_out;
  uint64_t offset_out;
  uint64_t length;
  uint64_t flags;
};
struct CopyFileRangeOut {
  uint64_t bytes_copied;
};
static_assert(sizeof(FallocateIn) == 32 && sizeof(LseekIn) == 24 && sizeof(CopyFileRangeIn) == 56);

// A directory entry is this header, the name without a terminator, and zeros up to the next multiple of 8.
struct DirectoryEntry {
  uint64_t ino;
  uint64_t offset;
  uint32_t name_bytes;
  uint32_t type;
};
static_assert(sizeof(DirectoryEntry) == 24);
inline constexpr size_t record_align(size_t bytes) { return (bytes + 7) & ~size_t{7}; }

struct NotifyInvalidateInodeOut {
  uint64_t node;
  int64_t offset;
  int64_t length;
};
struct NotifyInvalidateEntryOut {
  uint64_t parent;
  uint32_t name_bytes;
  uint32_t flags;
};
// Of a regular file. The kernel answers with a NOTIFY_REPLY, a request of that number with the content of the range.
struct NotifyRetrieveOut {
  uint64_t unique;
  uint64_t node;
  uint64_t offset;
  uint32_t size;
  uint32_t padding;
};
// The kernel counts its requests by steps of two and never gets here.
inline constexpr uint64_t kRetrieveUnique = 1ull << 62;
inline constexpr uint64_t kUniqueStep = 2;
static_assert(sizeof(NotifyRetrieveOut) == 32);
static_assert(sizeof(NotifyInvalidateInodeOut) == 24 && sizeof(NotifyInvalidateEntryOut) == 16);

}  // namespace covault::wire

#endif  // COVAULT_WIRE_H_
