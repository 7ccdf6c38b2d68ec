// Random operations, biased so that names collide, files stay small and open files are used.
#pragma once

#include <random>

#include "operation.h"

class Generator {
 public:
  // Without `setid_bits` no mode has them: the kernel takes them from a file when an ordinary user's engine writes back
  // pages that were stored to through a mapping.
  Generator(uint64_t seed, bool setid_bits) : random_(seed), setid_bits_(setid_bits) {}

  Operation next();
  uint64_t below(uint64_t bound) { return random_() % bound; }

 private:
  void random_path(char (&path)[kPathBytes], bool directory);

  std::mt19937_64 random_;
  bool setid_bits_;
};
