// Runs every TEST, or those whose name contains the argument.
#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstring>

#include "check.h"

namespace covault::test {

TemporaryDirectory::TemporaryDirectory() {
  const char* base = getenv("TMPDIR");
  path_ = std::string(base == nullptr ? "/tmp" : base) + "/covault-unit-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) abort();
}

TemporaryDirectory::~TemporaryDirectory() {
  nftw(
      path_.c_str(), [](const char* path, const struct stat*, int, struct FTW*) { return remove(path); }, 16,
      FTW_DEPTH | FTW_PHYS);
}

}  // namespace covault::test

int main(int argc, char** argv) {
  using namespace covault::test;
  int run = 0;
  for (const Case& test : cases()) {
    if (argc > 1 && strstr(test.name, argv[1]) == nullptr) continue;
    const int before = failures();
    test.run();
    run++;
    printf("%s - %s\n", failures() == before ? "ok" : "not ok", test.name);
  }
  printf("%d tests, %d failed checks\n", run, failures());
  return failures() == 0 && run > 0 ? 0 : 1;
}
