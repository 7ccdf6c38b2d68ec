// Turns answers in the layout of forward.h into those of the FUSE protocol.
#ifndef COVAULT_FORWARD_ENCODING_H_
#define COVAULT_FORWARD_ENCODING_H_

#include <cstdint>

#include "forward.h"

namespace covault {

// `size`: what the request asked for. A payload that is not what the operation needs answers EIO. Never reads beyond
// the payload.
void send_answer(ForwardOperation operation, uint32_t size, int error, Bytes payload, DeferredReply& reply);

}  // namespace covault

#endif  // COVAULT_FORWARD_ENCODING_H_
