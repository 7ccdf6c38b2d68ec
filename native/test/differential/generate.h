// Random operations, biased so that names collide, files stay small and open files are used.
#pragma once

#include <random>

#include "operation.h"

class Generator {
 public:
  // Unless `privileged`, no mode has setuid or setgid (the kernel takes them when an ordinary user's engine writes back
  // what was stored through a mapping), and every mode lets the owner do everything: an engine without privileges is
  // bound by the permissions of its own files where the caller's open file is not.
  Generator(uint64_t seed, bool privileged) : random_(seed), privileged_(privileged) {}

  Operation next();
  uint64_t below(uint64_t bound) { return random_() % bound; }

 private:
  void random_path(char (&path)[kPathBytes], bool directory);

  std::mt19937_64 random_;
  bool privileged_;
};
