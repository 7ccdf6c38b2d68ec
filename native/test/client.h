// Speaks to a handler as the kernel would, without a kernel: builds requests, dispatches them, reads the answers.
#ifndef COVAULT_TEST_CLIENT_H_
#define COVAULT_TEST_CLIENT_H_

#include <string>
#include <vector>

#include "dispatch.h"

namespace covault::test {

struct Answer {
  Outcome outcome = 0;
  std::string bytes;  // fixed structures, then the rest

  template <typename T>
  T as(size_t offset = 0) const {
    T value{};
    if (bytes.size() >= offset + sizeof(T)) std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
  }
};

class Client {
 public:
  explicit Client(Handler& handler) : handler_(handler), space_(256 * 1024) {}

  Answer send(uint32_t opcode, uint64_t node, const std::string& body) {
    const wire::InHeader header{.len = static_cast<uint32_t>(sizeof(wire::InHeader) + body.size()),
                                .opcode = opcode,
                                .unique = ++unique_,
                                .node = node,
                                .uid = user,
                                .gid = user,
                                .pid = 1,
                                .extension_words = 0,
                                .padding = 0};
    Reply reply(unique_, space_, nullptr);
    const Bytes bytes(reinterpret_cast<const std::byte*>(body.data()), body.size());
    const Connection connection;
    Answer answer;
    answer.outcome = dispatch(handler_, connection, header, Arguments({}, bytes, false), reply);
    for (const Bytes part : {reply.fixed(), reply.bytes()}) {
      answer.bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
    }
    return answer;
  }

  template <typename T>
  Answer send(uint32_t opcode, uint64_t node, const T& fixed, const std::string& rest) {
    return send(opcode, node, std::string(reinterpret_cast<const char*>(&fixed), sizeof(fixed)) + rest);
  }

  static std::string z(const std::string& text) { return text + std::string(1, '\0'); }

  wire::EntryOut lookup(uint64_t parent, const std::string& name) {
    return send(wire::kLookup, parent, z(name)).as<wire::EntryOut>();
  }
  void forget(uint64_t node, uint64_t lookups) { send(wire::kForget, node, wire::ForgetIn{.lookups = lookups}, ""); }

  // Returns the node; `handle` gets the open file's.
  uint64_t create(uint64_t parent, const std::string& name, uint64_t* handle) {
    const wire::CreateIn in{.flags = 0, .mode = 0644, .umask = 022, .open_flags = 0};
    const Answer answer = send(wire::kCreate, parent, in, z(name));
    *handle = answer.as<wire::OpenOut>(sizeof(wire::EntryOut)).handle;
    return answer.as<wire::EntryOut>().node;
  }
  Outcome write(uint64_t node, uint64_t handle, uint64_t offset, const std::string& content) {
    wire::WriteIn in = {};
    in.handle = handle;
    in.offset = offset;
    in.size = static_cast<uint32_t>(content.size());
    return send(wire::kWrite, node, in, content).outcome;
  }
  std::string read(uint64_t node, uint64_t handle, uint64_t offset, uint32_t size) {
    wire::ReadIn in = {};
    in.handle = handle;
    in.offset = offset;
    in.size = size;
    const Answer answer = send(wire::kRead, node, in, "");
    return answer.outcome == 0 ? answer.bytes : "errno " + std::to_string(answer.outcome);
  }

  uint32_t user = 0;  // who asks

 private:
  Handler& handler_;
  std::vector<std::byte> space_;
  uint64_t unique_ = 0;
};

}  // namespace covault::test

#endif  // COVAULT_TEST_CLIENT_H_
