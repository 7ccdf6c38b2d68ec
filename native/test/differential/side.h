// One of the two directories under comparison, as one process sees it: its open files and how operations run there.
#pragma once

#include <array>
#include <string>

#include "operation.h"

class Side {
 public:
  explicit Side(const std::string& directory);
  ~Side();
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  Outcome perform(const Operation& operation);

 private:
  Outcome on_file(const Operation& operation);
  Outcome on_name(const Operation& operation);
  Outcome on_attributes(const Operation& operation);
  Outcome on_xattrs(const Operation& operation);
  Outcome keep(int& slot, int opened);
  Outcome seek(const Operation& operation);
  Outcome map(const Operation& operation, bool write);
  std::string magic_path(const char* path) const;

  int base_;
  std::array<int, kSlots> slots_;
};
