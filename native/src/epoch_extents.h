// Which byte ranges of a file are preserved, and where: ranges that do not overlap, in order. Not thread-safe.
#ifndef COVAULT_EPOCH_EXTENTS_H_
#define COVAULT_EPOCH_EXTENTS_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace covault {

class Extents {
 public:
  static constexpr uint64_t kHole = UINT64_MAX;  // in place of a place: nothing but zeros

  struct Piece {
    uint64_t start = 0;
    uint64_t end = 0;
    uint64_t place = 0;  // of the byte at `start`
  };

  // A range none of which is preserved yet.
  void add(const Piece& piece) {
    if (piece.start >= piece.end) return;
    const auto next = pieces_.upper_bound(piece.start);
    if (next != pieces_.begin()) {
      Piece& before = std::prev(next)->second;
      const bool adjoins =
          before.end == piece.start &&
          (piece.place == kHole ? before.place == kHole
                                : before.place != kHole && before.place + (before.end - before.start) == piece.place);
      if (adjoins) {
        before.end = piece.end;
        return;
      }
    }
    pieces_.emplace(piece.start, piece);
  }

  // The parts of a range that are not preserved.
  std::vector<std::pair<uint64_t, uint64_t>> gaps(uint64_t start, uint64_t end) const {
    std::vector<std::pair<uint64_t, uint64_t>> result;
    while (start < end) {
      const Piece* piece = from(start);
      const uint64_t until = piece == nullptr ? end : std::min(end, piece->start);
      if (start < until) result.emplace_back(start, until);
      if (piece == nullptr) break;
      start = std::max(until, piece->end);
    }
    return result;
  }

  // The piece that has the byte, or else the next one behind it; null if there is none.
  const Piece* from(uint64_t offset) const {
    const auto next = pieces_.upper_bound(offset);
    if (next != pieces_.begin()) {
      const Piece& before = std::prev(next)->second;
      if (before.end > offset) return &before;
    }
    return next == pieces_.end() ? nullptr : &next->second;
  }

 private:
  std::map<uint64_t, Piece> pieces_;
};

}  // namespace covault

#endif  // COVAULT_EPOCH_EXTENTS_H_
