// libFuzzer target: arbitrary requests to the decoder and to a handler that serves a directory of its own. The input is
// a byte of choices and a list of requests: opcode, node, flags, two bytes of length, body.
//
// What an input leaves behind (open handles, known inodes, files) is gone before the next one, so that every input
// does the same when it is run alone.
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "credentials.h"
#include "dispatch.h"
#include "mutation_log.h"
#include "negotiation.h"
#include "passthrough.h"
#include "posix.h"

using namespace covault;

namespace {

constexpr size_t kRequestHeaderBytes = 5;
constexpr size_t kFixedApartBytes = 128;
constexpr uint32_t kOrdinaryUser = 65534;
// The file that is there before an input runs: larger than the memory for an answer.
constexpr off_t kFileBytes = 256 * 1024;

// Bits of the first byte.
constexpr uint8_t kUnprivileged = 1;
constexpr uint8_t kWriteback = 2;
constexpr uint8_t kShortSetxattr = 4;
// Bits of a request's flags.
constexpr uint8_t kLaterGeneration = 1;
constexpr uint8_t kExtensions = 2;
constexpr uint8_t kFixedApart = 4;
constexpr uint8_t kByOrdinaryUser = 8;

int remove_entry(const char* path, const struct stat* status, int, struct FTW*) {
  if (remove(path) == 0) return 0;
  // Perhaps it was made immutable.
  if (S_ISREG(status->st_mode) || S_ISDIR(status->st_mode)) {
    const FileDescriptor fd(open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    int none = 0;
    ioctl(fd.get(), FS_IOC_SETFLAGS, &none);
  }
  return remove(path);
}

// The root's flags would keep its entries in their place.
void remove_tree(const std::string& path) {
  const FileDescriptor root(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  int none = 0;
  if (root.is_open()) ioctl(root.get(), FS_IOC_SETFLAGS, &none);
  nftw(path.c_str(), remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

class SilentNotifier final : public Notifier {
 public:
  void attributes_changed(uint64_t) override {}
  bool write_out(uint64_t, off_t, off_t) override { return true; }
};

// A directory with a file in it, and a handler that serves it.
class Served {
 public:
  explicit Served(uint8_t choices) : choices_(choices) {
    const char* base = getenv("TMPDIR");
    path_ = std::string(base == nullptr ? "/tmp" : base) + "/covault-fuzz-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) abort();
    const FileDescriptor file(open((path_ + "/f").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644));
    if (ftruncate(file.get(), kFileBytes) != 0) abort();
    const FileDescriptor directory(open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    log_ = std::make_shared<MutationLog>(
        MutationLogOptions{.root_inode = 1, .chunk_bytes = 4096, .chunks_max = 2, .coarse_records_max = 4});
    PassthroughOptions options;
    options.directory_fd = directory.get();
    options.data_mode = (choices & kWriteback) != 0 ? DataMode::kWriteback : DataMode::kWriteThrough;
    options.mutations = log_;
    options.descriptors_max = 64;
    options.unprivileged = (choices & kUnprivileged) != 0;
    std::string error;
    handler_ = make_passthrough(options, &error);
    if (handler_ == nullptr) abort();
    const Wishes wishes = handler_->wishes();
    connection_.data_mode = wishes.data_mode;
    connection_.zero_message_open = wishes.zero_message_open;
    connection_.flags = (choices & kShortSetxattr) != 0 ? 0 : wire::kInitSetxattrExtended;
    handler_->connected(connection_, notifier_);
    changed_ = root_changed();
  }
  ~Served() {
    handler_.reset();
    remove_tree(path_);
  }

  Handler& handler() { return *handler_; }
  const Connection& connection() const { return connection_; }

  bool fits(uint8_t choices) const {
    const PassthroughStatistics statistics = passthrough_statistics(*handler_);
    const timespec now = root_changed();
    return choices == choices_ && statistics.inodes == 1 && statistics.open_handles == 0 && statistics.pinned == 1 &&
           now.tv_sec == changed_.tv_sec && now.tv_nsec == changed_.tv_nsec;
  }

  void take_mutations() {
    std::vector<uint8_t> batch;
    while (log_->take(&batch)) continue;
  }

 private:
  timespec root_changed() const {
    struct stat status = {};
    stat(path_.c_str(), &status);
    return status.st_ctim;
  }

  const uint8_t choices_;
  std::string path_;
  std::shared_ptr<MutationLog> log_;
  std::shared_ptr<Handler> handler_;
  SilentNotifier notifier_;
  Connection connection_;
  timespec changed_ = {};
};

void prepare_process() {
  // What the fuzzer writes must not fill the disk. A file of the corpus is never as large.
  const rlimit limit{.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, SIG_IGN);
  credentials::enter_thread(credentials::process_is_privileged());
}

void run_request(Served& served, uint8_t opcode, uint8_t node, uint8_t flags, Bytes body) {
  static std::vector<std::byte> space(64 * 1024);
  wire::InHeader header = {};
  header.len = static_cast<uint32_t>(sizeof(header) + body.size());
  header.opcode = opcode;
  header.node = (flags & kLaterGeneration) != 0 ? uint64_t{node} << 32 | 2 : node;
  header.extension_words = (flags & kExtensions) != 0 ? node : 0;
  header.uid = header.gid = (flags & kByOrdinaryUser) != 0 ? kOrdinaryUser : 0;
  Reply reply(1, space, nullptr);
  const bool apart = (flags & kFixedApart) != 0 && body.size() >= kFixedApartBytes;
  const Arguments arguments = apart ? Arguments(body.first(kFixedApartBytes), body.subspan(kFixedApartBytes), true)
                                    : Arguments({}, body, false);
  if (opcode == wire::kInit) {
    wire::InitIn in;
    if (decode_init(arguments, &in)) negotiate(in, served.handler().wishes(), true);
  } else {
    dispatch(served.handler(), served.connection(), header, arguments, reply);
  }
  wire::InHeader whole;
  Bytes rest;
  decode_header(body, &whole, &rest);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool prepared = (prepare_process(), true);
  static std::optional<Served> served;
  if (!prepared || size == 0) return 0;
  const uint8_t choices = data[0] & (kUnprivileged | kWriteback | kShortSetxattr);
  if (!served.has_value() || !served->fits(choices)) {
    credentials::take(0, 0);
    credentials::set_umask(0);
    served.emplace(choices);
  }
  for (size_t at = 1; at + kRequestHeaderBytes <= size;) {
    const uint8_t* head = data + at;
    at += kRequestHeaderBytes;
    const size_t length = std::min<size_t>(head[3] | head[4] << 8, size - at);
    // A copy of exactly the right size lets the sanitizer see a read beyond it.
    const std::vector<std::byte> body(reinterpret_cast<const std::byte*>(data) + at,
                                      reinterpret_cast<const std::byte*>(data) + at + length);
    at += length;
    run_request(*served, head[0], head[1], head[2], Bytes(body));
  }
  served->take_mutations();
  return 0;
}
