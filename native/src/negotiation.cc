#include "negotiation.h"

#include <algorithm>
#include <cerrno>

namespace covault {

namespace {

// Requests of the page cache (read-ahead, writeback) under way at once. The kernel's default of 12 starves parallel
// readers; beyond a few dozen nothing improves.
constexpr uint16_t kBackgroundMax = 128;
constexpr uint16_t kCongestionThreshold = 96;

uint64_t wanted_flags(const Wishes& wishes, bool over_io_uring) {
  uint64_t flags = 0;
  // Several reads of a file at once, and reads while others wait.
  flags |= wire::kInitAsyncRead;
  // Writes larger than a page.
  flags |= wire::kInitBigWrites;
  // Requests of up to `pages_max` pages.
  flags |= wire::kInitMaxPages;
  // Makes room for flags above bit 31.
  flags |= wire::kInitExtended;
  // LOOKUP and READDIR of one directory run in parallel; the handler locks for itself.
  flags |= wire::kInitParallelDirectoryOperations;
  // A directory is read together with its entries' attributes, but only when the reader looks at them (AUTO): a plain
  // `find` or `ls` then pays for names alone.
  flags |= wire::kInitReaddirplus | wire::kInitReaddirplusAuto;
  // Targets of symbolic links stay in the page cache.
  flags |= wire::kInitCacheSymlinks;
  // A file opened for direct I/O may be mapped shared, as on the file system below.
  flags |= wire::kInitDirectIoAllowMmap;
  // Only this mount changes the files, so cached pages are dropped on request only and not when a time stamp moved.
  flags |= wire::kInitExplicitInvalidateData;
  // The SETXATTR structure with flags: says when setting an ACL must clear the setgid bit.
  flags |= wire::kInitSetxattrExtended;
  // A node id means nothing after the kernel forgot it, so a file handle made from it could not be honoured. With this
  // flag name_to_handle_at fails at once instead of giving handles that break.
  flags |= wire::kInitNoExportSupport;
  // ACLs are interpreted by the kernel. Their default entries replace the umask, which must therefore be applied by
  // the handler, when it is known whether the directory has one.
  if (wishes.posix_acl) flags |= wire::kInitPosixAcl | wire::kInitDontMask;
  // The handler clears setuid, setgid and capabilities. Without this flag every write asks for security.capability.
  if (wishes.kill_privileges) flags |= wire::kInitKillPrivilegesV2;
  if (wishes.zero_message_open) flags |= wire::kInitNoOpenSupport | wire::kInitNoOpendirSupport;
  if (wishes.data_mode == DataMode::kWriteback) flags |= wire::kInitWritebackCache;
  if (over_io_uring) flags |= wire::kInitOverIoUring;
  // Not wanted: kInitAsyncDirectIo (after an asynchronous O_DIRECT write the kernel leaves the old pages in its cache,
  // so that a later read returns old content), kInitAtomicTruncate (a truncation then arrives as SETATTR, like any
  // other), locks (one kernel serves all callers and keeps them itself), kInitAutoInvalidateData (see above), the
  // flags about splicing (they announce what the kernel can do, and nothing depends on their answer),
  // kInitCreateSupplementaryGroup (the kernel has decided about the setgid bit of a new inode, which is then made with
  // all capabilities), kInitAbortError (the end of a session is the same however it came).
  return flags;
}

}  // namespace

bool decode_init(Arguments arguments, wire::InitIn* in) {
  const size_t bytes = std::min(arguments.remaining(), sizeof(*in));
  if (bytes < wire::kInitInShortBytes) return false;
  *in = arguments.fixed<wire::InitIn>(bytes);
  return arguments.valid();
}

Negotiated negotiate(const wire::InitIn& in, const Wishes& wishes, bool over_io_uring) {
  Negotiated result;
  if (in.major != wire::kMajor || in.minor < wire::kMinorMin) {
    result.error = EPROTO;
    return result;
  }
  uint64_t offered = in.flags;
  if ((offered & wire::kInitExtended) != 0) offered |= uint64_t{in.flags2} << 32;
  const uint64_t granted = offered & wanted_flags(wishes, over_io_uring);

  Connection& connection = result.connection;
  connection.minor = std::min(in.minor, wire::kMinor);
  connection.flags = granted;
  connection.pages_max = (granted & wire::kInitMaxPages) != 0 ? wishes.write_bytes_max / wire::kPageBytes : 32;
  connection.write_bytes_max = static_cast<uint32_t>(connection.pages_max * wire::kPageBytes);
  connection.data_mode = (granted & wire::kInitWritebackCache) != 0 ? DataMode::kWriteback : DataMode::kWriteThrough;
  const uint64_t no_open = wire::kInitNoOpenSupport | wire::kInitNoOpendirSupport;
  connection.zero_message_open = (granted & no_open) == no_open;
  connection.zero_message_flush = wishes.zero_message_flush;

  wire::InitOut& out = result.out;
  out.major = wire::kMajor;
  out.minor = wire::kMinor;
  out.max_readahead = std::max(in.max_readahead, wishes.write_bytes_max);
  // The two "no open" bits only say what the kernel can do; an answer does not carry them.
  const uint64_t answered = granted & ~no_open;
  out.flags = static_cast<uint32_t>(answered);
  out.flags2 = static_cast<uint32_t>(answered >> 32);
  out.max_background = kBackgroundMax;
  out.congestion_threshold = kCongestionThreshold;
  out.max_write = connection.write_bytes_max;
  out.time_granularity = 1;
  out.max_pages = static_cast<uint16_t>(connection.pages_max);
  return result;
}

}  // namespace covault
