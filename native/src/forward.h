// Hands the requests of a read-only mount to another thread (JavaScript) and sends its answers, in any order.
//
// Node numbers are chosen by whoever answers and mean the same for as long as the mount lives, so that lookups need not
// be counted. What would change something is refused here.
//
// Lock order: `mutex_` and `waker_mutex_` are leaves, taken one after the other.
#ifndef COVAULT_FORWARD_H_
#define COVAULT_FORWARD_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "handler.h"

namespace covault {

enum class ForwardOperation : uint8_t {
  kLookup = 1,             // node, name
  kAttributes = 2,         // node
  kReadDirectory = 3,      // node, handle, offset (0, or that of the last item got), size
  kReadDirectoryPlus = 4,  // the same, with attributes
  kReadLink = 5,           // node
  kRead = 6,               // node, offset, size
  kGetXattr = 7,           // node, name, size (0: only the length is asked for)
  kListXattrs = 8,         // node, size likewise
  kReleaseDirectory = 9,   // node, handle; there is no answer
};

struct ForwardRequest {
  uint64_t id = 0;
  ForwardOperation operation = ForwardOperation::kLookup;
  uint64_t node = 0;
  uint64_t handle = 0;
  uint64_t offset = 0;
  uint32_t size = 0;
  std::string name = {};
};

// Layout of attributes in answers, little-endian; JavaScript reads these numbers from the addon.
struct ForwardLayout {
  static constexpr size_t kNode = 0;        // u64; 0 in the answer to a lookup: there is no such name
  static constexpr size_t kSize = 8;        // u64
  static constexpr size_t kBlocks = 16;     // u64, of 512 bytes
  static constexpr size_t kAtimeNs = 24;    // i64
  static constexpr size_t kMtimeNs = 32;    // i64
  static constexpr size_t kCtimeNs = 40;    // i64
  static constexpr size_t kRdev = 48;       // u64, as in stat
  static constexpr size_t kMode = 56;       // u32, type and permissions
  static constexpr size_t kNlink = 60;      // u32; 0 in a directory item: its attributes are not known
  static constexpr size_t kUid = 64;        // u32
  static constexpr size_t kGid = 68;        // u32
  static constexpr size_t kCacheMs = 72;    // u32; the largest number means for ever
  static constexpr size_t kNameBytes = 76;  // u32; in directory items the name follows, zeros up to a multiple of 8
  static constexpr size_t kDirectoryOffset = 80;  // u64, of directory items: where to go on behind this one
  static constexpr size_t kAttributesBytes = 88;
};

class ForwardQueue;

// Refuses changes, answers what needs no tree, and puts the rest into `queue`.
std::shared_ptr<Handler> make_forward_handler(std::shared_ptr<ForwardQueue> queue);

// The requests under way, at most `in_flight_max`; a transport thread waits while there are as many.
class ForwardQueue {
 public:
  explicit ForwardQueue(size_t in_flight_max) : in_flight_max_(in_flight_max) {}
  ForwardQueue(const ForwardQueue&) = delete;
  ForwardQueue& operator=(const ForwardQueue&) = delete;

  // Called by a transport thread, without a lock held, when a request arrives and `take` had found nothing more. Set it
  // before the server starts; once set_waker has returned, the former waker does not run any more.
  void set_waker(std::function<void()> waker);

  // All waiting requests; none = the next one wakes.
  std::vector<ForwardRequest> take();

  // Answers request `id`; unknown ids (answered already, or closed meanwhile) are ignored. `error` is a positive errno,
  // or 0 with a payload: attributes (lookup, attributes), directory items, the target, the data, the xattr's value, or
  // names each with a terminating zero. What does not fit is cut (items) or answered as an error. Any thread.
  void answer(uint64_t id, int error, Bytes payload);

  // Answers all that is under way and all that comes with EIO.
  void close();

  // Of the handler: takes the request over. An errno, or kDeferred. Transport threads.
  Outcome put(ForwardRequest request, Reply& reply);
  // A request that has no answer.
  void notify(ForwardRequest request);

 private:
  struct Pending {
    ForwardOperation operation;
    uint32_t size;
    std::unique_ptr<DeferredReply> reply;
  };

  void wake();

  const size_t in_flight_max_;
  std::mutex mutex_;  // never held while a reply is sent or the waker runs
  std::condition_variable room_;
  std::unordered_map<uint64_t, Pending> pending_;
  std::vector<ForwardRequest> waiting_;
  uint64_t id_last_ = 0;
  bool armed_ = true;
  bool closed_ = false;

  std::mutex waker_mutex_;  // held while the waker runs, which does not wait for anything
  std::function<void()> waker_;
};

}  // namespace covault

#endif  // COVAULT_FORWARD_H_
