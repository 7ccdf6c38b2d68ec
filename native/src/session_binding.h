// JavaScript face of a mounted session: a Server with the handler of a live data directory or of a read-only tree.
#ifndef COVAULT_SESSION_BINDING_H_
#define COVAULT_SESSION_BINDING_H_

#include <napi.h>

#include <atomic>
#include <memory>
#include <string>

#include "environment.h"
#include "epochs.h"
#include "forward.h"
#include "mutation_log.h"
#include "server.h"

namespace covault {

// new Session(options, onEnd)
//   options  { fuseFd: number (taken over), mountpoint: string, helper: string (path of fusermount3, or ""),
//              transport: "auto" | "device" | "io_uring" } and either
//            { directoryFd: number, dataMode: "writeback" | "write-through", log: MutationLog } or
//            { inFlightMax: number, onRequests: () => void }
//   onEnd    called with "unmounted" or "failed" if the connection ends by itself
//
// It keeps the process alive until stop(). If a worker's environment ends first, the mount is detached and the threads
// end; process.exit() does not end the main environment in order, so the owner calls close() then.
class SessionObject final : public Napi::ObjectWrap<SessionObject>, public Closable {
 public:
  static Napi::Function define(Napi::Env env);
  explicit SessionObject(const Napi::CallbackInfo& info);
  ~SessionObject() override;

  void close_now() override;

 private:
  Napi::Value start(const Napi::CallbackInfo& info);             // start(): Promise<string>: "" or what went wrong
  // finishWrites(): Promise<void>: no caller writes into the page cache any more, and what it held has been written
  Napi::Value finish_writes(const Napi::CallbackInfo& info);
  Napi::Value stop(const Napi::CallbackInfo& info);              // stop(): Promise<void>; idempotent
  void close(const Napi::CallbackInfo& info);                    // close(): now, for the end of the process; idempotent
  Napi::Value counters(const Napi::CallbackInfo& info);          // counters(): object
  Napi::Value requests(const Napi::CallbackInfo& info);          // requests(): object[], of a tree
  Napi::Value open_epoch(const Napi::CallbackInfo& info);        // openEpoch(number: bigint): Promise<object>
  Napi::Value close_epoch(const Napi::CallbackInfo& info);       // closeEpoch(id: number): Promise<void>; idempotent
  Napi::Value epoch_failure(const Napi::CallbackInfo& info);     // epochFailure(id: number): string
  Napi::Value epoch_statistics(const Napi::CallbackInfo& info);  // epochStatistics(): object
  void answer(const Napi::CallbackInfo& info);  // answer(id: number, errno: number, payload?: Uint8Array)

  bool take_passthrough_options(const Napi::Object& options);
  void take_forward_options(Napi::Env env, const Napi::Object& options);
  void make_server(Napi::Env env, const Napi::Object& options, Napi::Function on_end);
  void close_registered();
  void release_callbacks();

  Environment* environment_ = nullptr;
  std::string mountpoint_;
  std::string helper_;
  std::shared_ptr<Handler> passthrough_;  // as made, for its statistics; null for a tree
  std::shared_ptr<Handler> handler_;
  std::shared_ptr<Epochs> epochs_;    // of a live data directory
  std::shared_ptr<MutationLog> log_;  // likewise
  std::shared_ptr<ForwardQueue> queue_;
  // Shared with the threads of start() and stop(), which may outlast a call.
  std::shared_ptr<Server> server_;
  Napi::ThreadSafeFunction on_end_;
  Napi::ThreadSafeFunction on_requests_;
  bool open_ = false;
  bool stopped_ = false;  // stop() was called
};

void register_sessions(Napi::Env env, Napi::Object exports);

}  // namespace covault

#endif  // COVAULT_SESSION_BINDING_H_
