#include "uring.h"

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace covault {

namespace {

constexpr size_t kEntryBytes = 128;
constexpr unsigned kEntries = 2;
// Where a 128-byte entry keeps what a driver's command needs.
constexpr size_t kOffsetOpcode = 0;
constexpr size_t kOffsetFd = 4;
constexpr size_t kOffsetOperation = 8;
constexpr size_t kOffsetAddress = 16;
constexpr size_t kOffsetLength = 24;
constexpr size_t kOffsetPayload = 48;
constexpr uint8_t kOperationUringCommand = 46;
constexpr uint32_t kSetupLargeEntries = 1u << 10;
constexpr uint32_t kSetupSingleIssuer = 1u << 12;
constexpr uint32_t kSetupDeferTaskrun = 1u << 13;

uint32_t load_acquire(uint32_t* value) { return std::atomic_ref(*value).load(std::memory_order_acquire); }
void store_release(uint32_t* value, uint32_t to) { std::atomic_ref(*value).store(to, std::memory_order_release); }

template <typename T>
void put(std::byte* entry, size_t offset, T value) {
  std::memcpy(entry + offset, &value, sizeof(value));
}

}  // namespace

Uring::~Uring() {
  if (entries_ != nullptr) munmap(entries_, entries_bytes_);
  if (ring_ != nullptr) munmap(ring_, ring_bytes_);
}

int Uring::open() {
  struct io_uring_params params = {};
  // One thread submits and waits, so completions can be left to the moment it waits: no interruptions, no locks.
  params.flags = kSetupLargeEntries | kSetupSingleIssuer | kSetupDeferTaskrun;
  fd_ = FileDescriptor(static_cast<int>(syscall(SYS_io_uring_setup, kEntries, &params)));
  if (!fd_.is_open()) return errno;
  if ((params.features & IORING_FEAT_SINGLE_MMAP) == 0) return ENOSYS;
  ring_bytes_ = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  const size_t array_end = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
  if (array_end > ring_bytes_) ring_bytes_ = array_end;
  entries_bytes_ = params.sq_entries * kEntryBytes;
  const auto map = [this](size_t bytes, off_t offset) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_.get(), offset);
    return memory == MAP_FAILED ? nullptr : static_cast<std::byte*>(memory);
  };
  ring_ = map(ring_bytes_, IORING_OFF_SQ_RING);
  entries_ = map(entries_bytes_, IORING_OFF_SQES);
  if (ring_ == nullptr || entries_ == nullptr) return ENOMEM;
  const auto word = [this](uint32_t offset) { return reinterpret_cast<uint32_t*>(ring_ + offset); };
  submission_tail_ = word(params.sq_off.tail);
  submission_mask_ = *word(params.sq_off.ring_mask);
  submission_array_ = word(params.sq_off.array);
  completion_head_ = word(params.cq_off.head);
  completion_tail_ = word(params.cq_off.tail);
  completion_mask_ = *word(params.cq_off.ring_mask);
  completions_ = ring_ + params.cq_off.cqes;
  return 0;
}

void Uring::prepare(const UringCommand& command) {
  const uint32_t tail = *submission_tail_;
  const uint32_t index = tail & submission_mask_;
  std::byte* entry = entries_ + index * kEntryBytes;
  std::memset(entry, 0, kEntryBytes);
  put(entry, kOffsetOpcode, kOperationUringCommand);
  put(entry, kOffsetFd, static_cast<int32_t>(command.fd));
  put(entry, kOffsetOperation, command.operation);
  put(entry, kOffsetAddress, reinterpret_cast<uint64_t>(command.address));
  put(entry, kOffsetLength, command.length);
  std::memcpy(entry + kOffsetPayload, command.payload.data(), command.payload.size());
  submission_array_[index] = index;
  store_release(submission_tail_, tail + 1);
  queued_++;
}

int Uring::enter(unsigned submit, unsigned wait) {
  const unsigned flags = wait > 0 ? IORING_ENTER_GETEVENTS : 0;
  const long submitted = syscall(SYS_io_uring_enter, fd_.get(), submit, wait, flags, nullptr, 0);
  if (submitted < 0) return errno;
  queued_ -= static_cast<unsigned>(submitted);
  return 0;
}

bool Uring::take_completion(int* result) {
  const uint32_t head = *completion_head_;
  if (head == load_acquire(completion_tail_)) return false;
  struct io_uring_cqe completion;
  std::memcpy(&completion, completions_ + (head & completion_mask_) * sizeof(completion), sizeof(completion));
  store_release(completion_head_, head + 1);
  *result = completion.res;
  return true;
}

int Uring::wait(int* result) {
  if (queued_ == 0 && take_completion(result)) return 0;
  const int error = enter(queued_, 1);
  if (take_completion(result)) return 0;
  return error != 0 ? error : EINTR;
}

void Uring::submit() {
  if (queued_ > 0) enter(queued_, 0);
}

}  // namespace covault
