// Answers that go through a pipe: whole, or not at all.
#include "reply_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "check.h"

using namespace covault;

namespace {

struct Files {
  test::TemporaryDirectory directory;
  std::string content;
  FileDescriptor source;
  FileDescriptor device;  // stands for /dev/fuse: keeps what it is sent

  explicit Files(size_t bytes) {
    for (size_t i = 0; i < bytes; i++) content += static_cast<char>(i * 31 + i / 4096);
    std::ofstream(directory.path() + "/source", std::ios::binary) << content;
    source = FileDescriptor(open((directory.path() + "/source").c_str(), O_RDONLY | O_CLOEXEC));
    device = FileDescriptor(open((directory.path() + "/device").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  }

  std::string sent() const {
    std::ifstream file(directory.path() + "/device", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

std::string answer(uint64_t unique, const std::string& content) {
  const wire::OutHeader header{
      .len = static_cast<uint32_t>(sizeof(header) + content.size()), .error = 0, .unique = unique};
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header)) + content;
}

}  // namespace

TEST("an answer through the pipe has its header and the file's content") {
  const Files files(700'000);
  ReplyPipe pipe;
  CHECK(pipe.fill(7, files.source.get(), 0, 524'288));
  CHECK(pipe.send(files.device.get()) == 0);
  CHECK(pipe.fill(8, files.source.get(), 12'345, 200'001));
  CHECK(pipe.send(files.device.get()) == 0);
  CHECK(files.sent() == answer(7, files.content.substr(0, 524'288)) + answer(8, files.content.substr(12'345, 200'001)));
}

TEST("a file that ends before what was asked for is not taken, nor is what does not fit") {
  const Files files(2'000'000);
  ReplyPipe pipe;
  CHECK(!pipe.fill(1, files.source.get(), 1'900'000, 200'000));
  CHECK(!pipe.fill(2, files.source.get(), 0, 1 << 20));  // with its header more than the pipe holds
  CHECK(!pipe.fill(3, -1, 0, 4096));
  CHECK(pipe.fill(4, files.source.get(), 1'900'000, 100'000));
  CHECK(pipe.send(files.device.get()) == 0);
  CHECK(files.sent() == answer(4, files.content.substr(1'900'000)));
}

TEST("an answer that was not sent, or that nobody took, does not come before the next one") {
  const Files files(300'000);
  ReplyPipe pipe;
  CHECK(pipe.fill(1, files.source.get(), 0, 200'000));
  CHECK(pipe.fill(2, files.source.get(), 4096, 150'000));
  CHECK(pipe.send(-1) == EBADF);
  CHECK(pipe.fill(3, files.source.get(), 8192, 131'072));
  CHECK(pipe.send(files.device.get()) == 0);
  CHECK(files.sent() == answer(3, files.content.substr(8192, 131'072)));
}
