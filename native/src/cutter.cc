#include "cutter.h"

#include <algorithm>
#include <array>
#include <bit>

namespace covault {

namespace {

// The gear table: 256 outputs of SplitMix64 (Steele et al., OOPSLA 2014) from the seed "covault1" in ASCII. It is part
// of what a block is: another table is another cutting.
constexpr std::array<uint64_t, 256> make_gear() {
  std::array<uint64_t, 256> gear{};
  uint64_t state = 0x636f7661756c7431;
  for (uint64_t& entry : gear) {
    state += 0x9e3779b97f4a7c15;
    uint64_t mixed = state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    entry = mixed ^ (mixed >> 31);
  }
  return gear;
}

constexpr std::array<uint64_t, 256> kGear = make_gear();

// Bytes that still influence the hash: one is shifted out of 64 bits for each that comes in.
constexpr size_t kWindow = 64;

// `ones` bits spread evenly over the upper 48: bit 63 sees 64 bytes back and bit 16 still sees 17.
constexpr uint64_t spread_mask(int ones) {
  uint64_t mask = 0;
  for (int i = 0; i < ones; i++) mask |= uint64_t{1} << (63 - i * 48 / ones);
  return mask;
}

struct Masks {
  uint64_t before_normal;  // hard to meet
  uint64_t after_normal;   // easy to meet
};

// Normalised chunking level 2: two bits more below the normal size, two bits fewer above it.
Masks masks_of(const CutParameters& parameters) {
  const int bits = std::bit_width(parameters.normal_bytes) - 1;
  return {.before_normal = spread_mask(std::clamp(bits + 2, 1, 48)),
          .after_normal = spread_mask(std::clamp(bits - 2, 1, 48))};
}

// First position in [position, end) after whose byte the hash meets the mask, or `end`; `*hash` goes in and, if there
// is none, comes out. Two dependent additions a byte are what it costs, so the tests of eight bytes share one branch.
size_t scan(const uint8_t* bytes, size_t position, size_t end, uint64_t mask, uint64_t* hash) {
  uint64_t h = *hash;
  while (position + 8 <= end) {
    const uint64_t before = h;
    bool met = false;
    for (size_t i = 0; i < 8; i++) {
      h = (h << 1) + kGear[bytes[position + i]];
      met |= (h & mask) == 0;
    }
    if (met) {
      h = before;
      break;
    }
    position += 8;
  }
  for (; position < end; position++) {
    h = (h << 1) + kGear[bytes[position]];
    if ((h & mask) == 0) return position;
  }
  *hash = h;
  return end;
}

size_t cut_with_masks(const uint8_t* bytes, size_t length, const CutParameters& parameters, const Masks& masks,
                      bool last) {
  const size_t end = std::min<size_t>(length, parameters.max_bytes);
  const size_t undecided = end == parameters.max_bytes || last ? end : 0;
  if (end <= parameters.min_bytes) return undecided;
  uint64_t hash = 0;
  size_t position = parameters.min_bytes;
  for (size_t i = position > kWindow ? position - kWindow : 0; i < position; i++) hash = (hash << 1) + kGear[bytes[i]];
  const size_t normal_end = std::min<size_t>(end, parameters.normal_bytes);
  size_t found = position < normal_end ? scan(bytes, position, normal_end, masks.before_normal, &hash) : position;
  if (found < normal_end) return found + 1;
  found = scan(bytes, std::max(position, normal_end), end, masks.after_normal, &hash);
  return found < end ? found + 1 : undecided;
}

}  // namespace

size_t cut_block(const uint8_t* bytes, size_t length, const CutParameters& parameters, bool last) {
  return cut_with_masks(bytes, length, parameters, masks_of(parameters), last);
}

std::vector<uint32_t> cut_blocks(const uint8_t* bytes, size_t length, const CutParameters& parameters, bool last) {
  const Masks masks = masks_of(parameters);
  std::vector<uint32_t> lengths;
  size_t position = 0;
  while (position < length) {
    const size_t block = cut_with_masks(bytes + position, length - position, parameters, masks, last);
    if (block == 0) break;
    lengths.push_back(static_cast<uint32_t>(block));
    position += block;
  }
  return lengths;
}

}  // namespace covault
