// Content-defined cutting: FastCDC (Xia et al., USENIX ATC 2016) with a 64-bit gear hash and normalised chunking
// level 2.
//
// A boundary depends on the parameters, on the 64 bytes before it and on where the block began, and on nothing else.
#ifndef COVAULT_CUTTER_H_
#define COVAULT_CUTTER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace covault {

struct CutParameters {
  uint32_t min_bytes;     // no block is smaller, but for the last of a file; at least 64
  uint32_t normal_bytes;  // sizes gather around it: min_bytes to max_bytes
  uint32_t max_bytes;     // no block is larger
};

// Length of the first block of `bytes`, which begin at a block boundary; 0 if more bytes are needed to decide.
// `last`: the file ends with these bytes, so that what remains is a block in any case (0 only for no bytes).
size_t cut_block(const uint8_t* bytes, size_t length, const CutParameters& parameters, bool last);

// Lengths of all blocks of `bytes`, as far as they are decided.
std::vector<uint32_t> cut_blocks(const uint8_t* bytes, size_t length, const CutParameters& parameters, bool last);

}  // namespace covault

#endif  // COVAULT_CUTTER_H_
