// Entry of the addon: what JavaScript finds in it. `src/fs/addon.ts` is its only caller and gives the types.
#include <napi.h>

#include "cutter_binding.h"
#include "environment.h"
#include "epoch_binding.h"
#include "mount_binding.h"
#include "mutation_binding.h"
#include "posix_binding.h"
#include "session_binding.h"

namespace {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new covault::Environment(env));
  covault::register_cutter(env, exports);
  covault::register_epochs(env, exports);
  covault::register_mounting(env, exports);
  covault::register_mutations(env, exports);
  covault::register_posix(env, exports);
  covault::register_sessions(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(covault, initialise)
