// A very small test framework: TEST(name) { CHECK(...); } in any *_test.cc; unit_main runs all.
#ifndef COVAULT_TEST_CHECK_H_
#define COVAULT_TEST_CHECK_H_

#include <cstdio>
#include <string>
#include <vector>

namespace covault::test {

struct Case {
  const char* name;
  void (*run)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Registration {
  Registration(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

// A directory of its own under the temporary directory, removed with all it holds.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace covault::test

#define COVAULT_JOIN_(a, b) a##b
#define COVAULT_JOIN(a, b) COVAULT_JOIN_(a, b)
#define TEST(name)                                                                                       \
  static void COVAULT_JOIN(test_, __LINE__)();                                                           \
  static const ::covault::test::Registration COVAULT_JOIN(registration_, __LINE__)(                      \
      name, COVAULT_JOIN(test_, __LINE__));                                                              \
  static void COVAULT_JOIN(test_, __LINE__)()
#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      ::covault::test::failures()++;                                            \
      fprintf(stderr, "    %s:%d: %s\n", __FILE__, __LINE__, #condition);       \
    }                                                                           \
  } while (false)

#endif  // COVAULT_TEST_CHECK_H_
