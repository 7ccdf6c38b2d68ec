// INIT: which features are agreed on with the kernel, and why.
#ifndef COVAULT_NEGOTIATION_H_
#define COVAULT_NEGOTIATION_H_

#include "handler.h"

namespace covault {

struct Negotiated {
  int error = 0;  // errno with which to answer INIT
  wire::InitOut out = {};
  Connection connection = {};
};

// Pure. `over_io_uring`: the server is ready to use it if the kernel offers it.
Negotiated negotiate(const wire::InitIn& in, const Wishes& wishes, bool over_io_uring);

// Reads INIT's structure, whose length depends on the kernel. False if it is too short.
bool decode_init(Arguments arguments, wire::InitIn* in);

}  // namespace covault

#endif  // COVAULT_NEGOTIATION_H_
