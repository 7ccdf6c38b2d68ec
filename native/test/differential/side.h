// One of the two directories under comparison, as one process sees it: its open files and how operations run there.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "operation.h"

// What a system call gave: its result or errno.
Outcome outcome_of(int64_t result, std::string detail = {});
// Bytes that depend on the seed and the place only, so that misplaced ones show.
std::vector<char> bytes_of(uint64_t seed, uint64_t length);

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
  Outcome on_lock(const Operation& operation);
  Outcome keep_mapping(const Operation& operation);
  Outcome use_mapping(const Operation& operation);
  void drop(int mapping);
  std::string magic_path(const char* path) const;

  int base_;
  std::array<int, kSlots> slots_;
  // Mappings outlive the open files that they were made with, as they do in programs.
  struct Mapping {
    void* memory = nullptr;
    size_t length = 0;
    off_t offset = 0;
    bool writable = false;
    int fd = -1;  // to ask for the file's size: touching what is behind the end would kill the process
  };
  std::array<Mapping, kMappings> mappings_;
};
