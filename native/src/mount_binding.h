// JavaScript face of mounting, and the layout of the answers of a read-only tree.
#ifndef COVAULT_MOUNT_BINDING_H_
#define COVAULT_MOUNT_BINDING_H_

#include <napi.h>

namespace covault {

void register_mounting(Napi::Env env, Napi::Object exports);

}  // namespace covault

#endif  // COVAULT_MOUNT_BINDING_H_
