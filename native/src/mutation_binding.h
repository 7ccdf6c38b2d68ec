// JavaScript face of the mutation log: the class MutationLog and the layout of its batches.
#ifndef COVAULT_MUTATION_BINDING_H_
#define COVAULT_MUTATION_BINDING_H_

#include <napi.h>

#include <memory>

#include "environment.h"
#include "mutation_log.h"

namespace covault {

// new MutationLog(options, wake)
//   options  { rootInode: bigint, chunkBytes?, chunksMax?, coarseRecordsMax?: number }
//   wake     called without arguments when a mutation arrives while the log is armed (at first, and after take() found
//            nothing)
class MutationLogObject final : public Napi::ObjectWrap<MutationLogObject>, public Closable {
 public:
  static Napi::Function define(Napi::Env env);
  explicit MutationLogObject(const Napi::CallbackInfo& info);
  ~MutationLogObject() override;

  void close_now() override;
  const std::shared_ptr<MutationLog>& log() const { return log_; }

 private:
  Napi::Value take(const Napi::CallbackInfo& info);        // take(): Uint8Array | undefined
  Napi::Value mark(const Napi::CallbackInfo& info);        // mark(): number
  Napi::Value statistics(const Napi::CallbackInfo& info);  // statistics(): Record<string, number>
  void report(const Napi::CallbackInfo& info);  // report(kind, inode, first, second, name, newName, exchange)
  void close(const Napi::CallbackInfo& info);   // close(): no wake-up follows; idempotent

  void close_registered();

  Environment* environment_ = nullptr;
  std::shared_ptr<MutationLog> log_;
  Napi::ThreadSafeFunction wake_;
  bool open_ = false;
};

void register_mutations(Napi::Env env, Napi::Object exports);

}  // namespace covault

#endif  // COVAULT_MUTATION_BINDING_H_
