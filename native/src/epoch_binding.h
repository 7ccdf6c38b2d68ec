// JavaScript face of epochs: reading them, from any thread of JavaScript, by the epoch's id.
#ifndef COVAULT_EPOCH_BINDING_H_
#define COVAULT_EPOCH_BINDING_H_

#include <napi.h>

#include <memory>

#include "epoch_reader.h"
#include "epochs.h"

namespace covault {

// { id, timeNs, heldNs, attempts }
Napi::Object opened_epoch_object(Napi::Env env, const OpenedEpoch& opened);
Napi::Object epoch_statistics_object(Napi::Env env, const EpochStatistics& statistics);

// new EpochFile(epoch: number, path: Uint8Array, inode: bigint): throws ESTALE if the path led elsewhere
class EpochFileObject final : public Napi::ObjectWrap<EpochFileObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit EpochFileObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value attributes(const Napi::CallbackInfo& info);  // attributes(): object
  Napi::Value read(const Napi::CallbackInfo& info);        // read(into: Uint8Array, at, length, position): number
  // readLater(position, length): Promise<Uint8Array>, on a thread of its own; shorter at the end of the file
  Napi::Value read_later(const Napi::CallbackInfo& info);
  Napi::Value next_data(const Napi::CallbackInfo& info);  // nextData(position): { start, end } | undefined
  void close(const Napi::CallbackInfo& info);             // close(); idempotent

  std::shared_ptr<EpochFile> file_;
};

void register_epochs(Napi::Env env, Napi::Object exports);

}  // namespace covault

#endif  // COVAULT_EPOCH_BINDING_H_
