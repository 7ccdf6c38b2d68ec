// What a session has counted, as JavaScript objects.
#ifndef COVAULT_COUNTERS_BINDING_H_
#define COVAULT_COUNTERS_BINDING_H_

#include <napi.h>

#include "server.h"

namespace covault {

// { transport, dataMode, failure, requests: { lookup: n, … }, errors, malformed, bytesRead, bytesWritten, threads,
// threadsPeak,
//   engine?: { inodes, … } }; `passthrough` may be null.
Napi::Object counters_object(Napi::Env env, const Server& server, const Handler* passthrough);

}  // namespace covault

#endif  // COVAULT_COUNTERS_BINDING_H_
