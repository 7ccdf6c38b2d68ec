// JavaScript face of the system calls in posix.h.
#ifndef COVAULT_POSIX_BINDING_H_
#define COVAULT_POSIX_BINDING_H_

#include <napi.h>

namespace covault {

void register_posix(Napi::Env env, Napi::Object exports);

}  // namespace covault

#endif  // COVAULT_POSIX_BINDING_H_
