/// Units of one program that were compiled in different ways compute the same; those for other processors, where this is one.

#include <cmath>
#include <cstdio>

double everything();
double other_order();
double part();
#if defined(OTHER_PROCESSORS)
double for_avx2();
double for_avx512();
#endif

namespace {

bool near(const char* unit, double found, double expected) {
  const bool passed = std::abs(found - expected) <= 1e-4 * expected;
  std::printf("%s: %.9g%s\n", unit, found, passed ? "" : ", expected what everything gives");
  return passed;
}

}  // namespace

int main() {
  const double expected = everything();
  bool passed = near("everything", expected, expected);
  passed &= other_order() == expected && near("other_order", expected, expected);
  passed &= part() == expected && near("part", expected, expected);
#if defined(OTHER_PROCESSORS)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    passed &= near("for_avx2", for_avx2(), expected);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    passed &= near("for_avx512", for_avx512(), expected);
#endif
  return passed ? 0 : 1;
}
