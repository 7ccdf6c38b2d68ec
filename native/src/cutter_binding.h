// JavaScript face of the cutter.
#ifndef COVAULT_CUTTER_BINDING_H_
#define COVAULT_CUTTER_BINDING_H_

#include <napi.h>

namespace covault {

void register_cutter(Napi::Env env, Napi::Object exports);

}  // namespace covault

#endif  // COVAULT_CUTTER_BINDING_H_
