// libFuzzer target: arbitrary requests to the decoder and to a handler that serves a directory of its own. The input is
// a list of requests: opcode, node, flags, two bytes of length, body.
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "dispatch.h"
#include "negotiation.h"
#include "passthrough.h"

using namespace covault;

namespace {

constexpr size_t kRequestHeaderBytes = 5;
constexpr size_t kFixedApartBytes = 128;

char directory[] = "/tmp/covault-fuzz-XXXXXX";

void remove_directory() {
  nftw(
      directory, [](const char* path, const struct stat*, int, struct FTW*) { return remove(path); }, 16,
      FTW_DEPTH | FTW_PHYS);
}

std::shared_ptr<Handler> make_handler() {
  // What the fuzzer writes must not fill the disk.
  const rlimit limit{.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, SIG_IGN);
  if (mkdtemp(directory) == nullptr) abort();
  atexit(remove_directory);
  PassthroughOptions options;
  options.directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  options.descriptors_max = 32;
  options.unprivileged = getenv("FUZZ_UNPRIVILEGED") != nullptr;
  std::string error;
  auto handler = make_passthrough(options, &error);
  if (handler == nullptr) abort();
  handler->thread_starts();
  return handler;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::shared_ptr<Handler> handler = make_handler();
  std::vector<std::byte> space(64 * 1024);
  Connection connection;
  connection.flags = size % 2 == 0 ? wire::kInitSetxattrExtended : 0;
  for (size_t at = 0; at + kRequestHeaderBytes <= size;) {
    const uint8_t opcode = data[at];
    const uint8_t node = data[at + 1];
    const uint8_t flags = data[at + 2];
    const size_t length = std::min<size_t>(data[at + 3] | data[at + 4] << 8, size - at - kRequestHeaderBytes);
    at += kRequestHeaderBytes;
    // A copy of exactly the right size lets the sanitizer see a read beyond it.
    const std::vector<std::byte> body(reinterpret_cast<const std::byte*>(data) + at,
                                      reinterpret_cast<const std::byte*>(data) + at + length);
    at += length;
    wire::InHeader header = {};
    header.len = static_cast<uint32_t>(sizeof(header) + length);
    header.opcode = opcode;
    header.node = (flags & 1) != 0 ? uint64_t{node} << 32 | 2 : node;
    header.extension_words = (flags & 2) != 0 ? node : 0;
    Reply reply(1, space, nullptr);
    const bool apart = (flags & 4) != 0 && length >= kFixedApartBytes;
    const Bytes all(body);
    const Arguments arguments =
        apart ? Arguments(all.first(kFixedApartBytes), all.subspan(kFixedApartBytes), true) : Arguments({}, all, false);
    if (opcode == wire::kInit) {
      wire::InitIn in;
      if (decode_init(arguments, &in)) negotiate(in, handler->wishes(), true);
    } else {
      dispatch(*handler, connection, header, arguments, reply);
    }
    wire::InHeader whole;
    Bytes rest;
    decode_header(all, &whole, &rest);
  }
  return 0;
}
