// From bytes to a handler's function: decodes one request and calls the function of its operation.
#ifndef COVAULT_DISPATCH_H_
#define COVAULT_DISPATCH_H_

#include "handler.h"

namespace covault {

// In addition to what operations return.
inline constexpr Outcome kNoReply = -2;    // FORGET and its kin
inline constexpr Outcome kMalformed = -3;  // could not be decoded; to be answered with EINVAL

// Splits a message of /dev/fuse. False if it is not a whole request.
bool decode_header(Bytes message, wire::InHeader* header, Bytes* body);

// Of requests with which the kernel hands over or ends what was accepted before. After any other a caller could write into
// the page cache: with a writeback cache a write(2) asks for attributes that are not known.
bool hands_over(uint32_t opcode);

// Never touches memory outside of the arguments, whatever they hold. `connection` decides protocol variants.
Outcome dispatch(Handler& handler, const Connection& connection, const wire::InHeader& header, Arguments arguments,
                 Reply& reply);

}  // namespace covault

#endif  // COVAULT_DISPATCH_H_
