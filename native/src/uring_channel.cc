#include "uring_channel.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace covault {

namespace {

constexpr size_t kInOutBytes = 128;
constexpr size_t kOperationBytes = 128;
constexpr uint32_t kRegister = 1;
constexpr uint32_t kCommitAndFetch = 2;

// What stands in the command area of a submission entry.
struct CommandPayload {
  uint64_t flags;
  uint64_t commit_id;
  uint16_t queue;
  uint8_t padding[6];
};
static_assert(sizeof(CommandPayload) <= UringCommand::kPayloadBytes);

}  // namespace

// Memory shared with the kernel beside the payload.
struct UringChannel::Headers {
  std::byte in_out[kInOutBytes];         // InHeader, then OutHeader
  std::byte operation[kOperationBytes];  // the request's first structure
  uint64_t flags;
  uint64_t commit_id;  // names the request in the answer
  uint32_t payload_bytes;
  uint32_t padding;
  uint64_t reserved;
};

unsigned uring_queues() {
  const auto close = [](FILE* file) { fclose(file); };
  using File = std::unique_ptr<FILE, decltype(close)>;
  const File enabled(fopen("/sys/module/fuse/parameters/enable_uring", "re"), close);
  if (enabled == nullptr || fgetc(enabled.get()) != 'Y') return 0;
  const File possible(fopen("/sys/devices/system/cpu/possible", "re"), close);
  unsigned first = 0;
  unsigned last = 0;
  if (possible == nullptr) return 0;
  const int fields = fscanf(possible.get(), "%u-%u", &first, &last);
  if (fields < 1 || first != 0) return 0;
  return fields == 1 ? 1 : last + 1;
}

UringChannel::UringChannel(SharedDescriptor device, unsigned queue, size_t write_bytes_max)
    : device_(std::move(device)), queue_(queue), headers_(sizeof(Headers)), payload_(write_bytes_max) {
  parts_[0] = {headers_.span().data(), sizeof(Headers)};
  parts_[1] = {payload_.span().data(), payload_.span().size()};
}

void UringChannel::prepare(uint32_t operation, uint64_t commit_id) {
  UringCommand command;
  command.fd = device_->get();
  command.operation = operation;
  if (operation == kRegister) {
    command.address = parts_;
    command.length = 2;
  }
  const CommandPayload payload{
      .flags = 0, .commit_id = commit_id, .queue = static_cast<uint16_t>(queue_), .padding = {}};
  std::memcpy(command.payload.data(), &payload, sizeof(payload));
  ring_.prepare(command);
}

void UringChannel::enlist() { prepare(kRegister, 0); }

Channel::Received UringChannel::receive() {
  int result = 0;
  const int error = ring_.wait(&result);
  if (error == EINTR) return Received::kInterrupted;
  if (error != 0 || result < 0) {
    const int reason = error != 0 ? error : -result;
    if (reason == ENOTCONN || reason == ECONNABORTED || reason == ENODEV || reason == ECANCELED) {
      return Received::kEnded;
    }
    failure_ = reason;
    return Received::kFailed;
  }
  std::memcpy(&header_, headers()->in_out, sizeof(header_));
  body_ = Bytes(payload_.span().data(), std::min<size_t>(headers()->payload_bytes, payload_.span().size()));
  if (header_.opcode != wire::kWrite && !body_.empty()) {
    small_.assign(body_.begin(), body_.end());
    body_ = small_;
  }
  return Received::kRequest;
}

Arguments UringChannel::arguments() const {
  return Arguments(Bytes(headers()->operation, kOperationBytes), body_, true);
}

void UringChannel::send(int error_number, const Reply& reply) {
  const std::span<std::byte> payload = payload_.span();
  size_t used = 0;
  if (error_number == 0) {
    const Bytes fixed = reply.fixed();
    const Bytes bytes = reply.bytes();
    used = std::min(fixed.size() + bytes.size(), payload.size());
    // The bytes mostly stand at the start of the payload already, where they stay if nothing precedes them.
    if (!bytes.empty() && (!fixed.empty() || bytes.data() != payload.data())) {
      std::memmove(payload.data() + fixed.size(), bytes.data(), used - fixed.size());
    }
    if (!fixed.empty()) std::memcpy(payload.data(), fixed.data(), fixed.size());
  }
  const wire::OutHeader out{
      .len = static_cast<uint32_t>(sizeof(wire::OutHeader) + used), .error = -error_number, .unique = header_.unique};
  std::memcpy(headers()->in_out, &out, sizeof(out));
  headers()->payload_bytes = static_cast<uint32_t>(used);
  prepare(kCommitAndFetch, headers()->commit_id);
}

}  // namespace covault
