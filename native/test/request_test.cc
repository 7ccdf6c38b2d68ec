#include "request.h"

#include <cerrno>
#include <string>
#include <vector>

#include "check.h"
#include "dispatch.h"

using namespace covault;

namespace {

Bytes bytes_of(const std::string& text) { return Bytes(reinterpret_cast<const std::byte*>(text.data()), text.size()); }

template <typename T>
void append(std::string& message, const T& value) {
  message.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Notes what reached the handler.
class Recorder final : public Handler {
 public:
  Outcome lookup(const Request& request, std::string_view name, Reply&) override {
    seen = "lookup " + std::to_string(request.node) + " " + std::string(name);
    return 0;
  }
  Outcome rename(const Request&, std::string_view name, uint64_t parent, std::string_view new_name, uint32_t flags,
                 Reply&) override {
    seen = "rename " + std::string(name) + " " + std::to_string(parent) + " " + std::string(new_name) + " " +
           std::to_string(flags);
    return 0;
  }
  Outcome create(const Request&, const wire::CreateIn& in, std::string_view name, Reply&) override {
    seen = "create " + std::string(name) + " " + std::to_string(in.umask);
    return 0;
  }
  Outcome write(const Request&, const wire::WriteIn& in, Bytes content, Reply&) override {
    seen = "write " + std::to_string(in.offset) + " " +
           std::string(reinterpret_cast<const char*>(content.data()), content.size());
    return 0;
  }
  Outcome setxattr(const Request&, const wire::SetxattrIn& in, const char* name, Bytes value, Reply&) override {
    seen =
        std::string("setxattr ") + name + " " + std::to_string(value.size()) + " " + std::to_string(in.setxattr_flags);
    return 0;
  }
  void forget(uint64_t node, uint64_t lookups) override {
    seen += "forget " + std::to_string(node) + "/" + std::to_string(lookups) + ";";
  }
  std::string seen;
};

struct Dispatched {
  Outcome outcome;
  std::string seen;
};

Dispatched dispatched(uint32_t opcode, const std::string& body, const Connection& connection = {},
                      uint16_t extension_words = 0) {
  Recorder recorder;
  std::vector<std::byte> space(65536);
  Reply reply(1, space, nullptr);
  const wire::InHeader header{.len = static_cast<uint32_t>(sizeof(wire::InHeader) + body.size()),
                              .opcode = opcode,
                              .unique = 1,
                              .node = 7,
                              .uid = 0,
                              .gid = 0,
                              .pid = 1,
                              .extension_words = extension_words,
                              .padding = 0};
  const Outcome outcome = dispatch(recorder, connection, header, Arguments({}, bytes_of(body), false), reply);
  return {outcome, recorder.seen};
}

}  // namespace

TEST("arguments end where the message ends") {
  const std::string body("abc\0de", 6);
  Arguments arguments({}, bytes_of(body), false);
  CHECK(arguments.text(10) == "abc");
  CHECK(arguments.valid());
  arguments.text(10);  // no zero byte follows
  CHECK(!arguments.valid());
  CHECK(arguments.bytes(0).empty());  // and nothing works after a failure
  CHECK(!arguments.valid());
}

TEST("names that could leave their directory are refused") {
  for (const std::string name : {"", ".", "..", "a/b", "/"}) {
    const std::string terminated = name + std::string(1, '\0');
    Arguments arguments({}, bytes_of(terminated), false);
    arguments.name();
    CHECK(!arguments.valid());
  }
  for (const std::string name : {"a", "...", " ", "\xff\xfe"}) {
    const std::string terminated = name + std::string(1, '\0');
    Arguments arguments({}, bytes_of(terminated), false);
    CHECK(arguments.name() == name);
    CHECK(arguments.valid());
  }
}

TEST("a fixed structure is read from its own place when it stands apart") {
  std::string fixed;
  append(fixed, wire::LinkIn{.node = 42});
  const std::string body("name\0", 5);
  Arguments arguments(bytes_of(fixed), bytes_of(body), true);
  CHECK(arguments.fixed<wire::LinkIn>().node == 42);
  CHECK(arguments.name() == "name");
  CHECK(arguments.valid());
}

TEST("a header must announce exactly the message's length") {
  std::string message;
  append(message, wire::InHeader{.len = 41,
                                 .opcode = 1,
                                 .unique = 1,
                                 .node = 1,
                                 .uid = 0,
                                 .gid = 0,
                                 .pid = 0,
                                 .extension_words = 0,
                                 .padding = 0});
  wire::InHeader header;
  Bytes body;
  CHECK(!decode_header(bytes_of(message), &header, &body));
  message += 'x';
  CHECK(decode_header(bytes_of(message), &header, &body));
  CHECK(body.size() == 1);
  CHECK(!decode_header(bytes_of(message.substr(0, 20)), &header, &body));
}

TEST("requests reach their functions with their arguments") {
  CHECK(dispatched(wire::kLookup, std::string("file\0", 5)).seen == "lookup 7 file");
  std::string rename;
  append(rename, wire::Rename2In{.new_parent = 9, .flags = 2, .padding = 0});
  rename += std::string("old\0new\0", 8);
  CHECK(dispatched(wire::kRename2, rename).seen == "rename old 9 new 2");
  std::string write;
  append(write, wire::WriteIn{
                    .handle = 0, .offset = 5, .size = 3, .write_flags = 0, .lock_owner = 0, .flags = 0, .padding = 0});
  CHECK(dispatched(wire::kWrite, write + "abc").seen == "write 5 abc");
  CHECK(dispatched(wire::kWrite, write + "ab").outcome == kMalformed);
}

TEST("a short SETXATTR structure is understood where the long one was not agreed on") {
  std::string body;
  append(body, wire::GetxattrIn{.size = 2, .padding = 0});  // the short structure: size and flags
  body += std::string("user.a\0xy", 9);
  CHECK(dispatched(wire::kSetxattr, body).seen == "setxattr user.a 2 0");
  body.clear();
  append(body, wire::SetxattrIn{.size = 2, .flags = 0, .setxattr_flags = 1, .padding = 0});
  body += std::string("user.a\0xy", 9);
  Connection connection;
  connection.flags = wire::kInitSetxattrExtended;
  CHECK(dispatched(wire::kSetxattr, body, connection).seen == "setxattr user.a 2 1");
}

TEST("extensions at the end of a request are taken off before its name is read") {
  std::string body;
  append(body, wire::CreateIn{.flags = 0, .mode = 0644, .umask = 18, .open_flags = 0});
  body += std::string("name\0", 5);
  body += "two words of 8 b";
  CHECK(dispatched(wire::kCreate, body, {}, 2).seen == "create name 18");
  CHECK(dispatched(wire::kCreate, body, {}, 500).outcome == kMalformed);
}

TEST("forgets of a batch are counted one by one and get no answer") {
  std::string body;
  append(body, wire::BatchForgetIn{.count = 3, .padding = 0});
  append(body, wire::ForgetOne{.node = 2, .lookups = 1});
  append(body, wire::ForgetOne{.node = 3, .lookups = 5});
  const Dispatched result = dispatched(wire::kBatchForget, body);  // the third is missing
  CHECK(result.outcome == kNoReply);
  CHECK(result.seen == "forget 2/1;forget 3/5;");
}

TEST("an operation that a handler lacks is answered with ENOSYS") {
  CHECK(dispatched(wire::kPoll, std::string(24, '\0')).outcome == ENOSYS);
  CHECK(dispatched(4711, {}).outcome == ENOSYS);
  CHECK(dispatched(wire::kReadlink, {}).outcome == ENOSYS);
}
