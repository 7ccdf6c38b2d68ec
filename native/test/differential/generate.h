// Random operations, biased so that names collide, files stay small and open files are used.
#pragma once

#include <random>

#include "operation.h"

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  Operation next();
  uint64_t below(uint64_t bound) { return random_() % bound; }

 private:
  void random_path(char (&path)[kPathBytes], bool directory);

  std::mt19937_64 random_;
};
