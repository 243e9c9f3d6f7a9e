#pragma once

#include <sma/eigen/part.hpp>

#include <cstdint>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

/// Numbers below the normal ones (1.2e-38 in single, 2.2e-308 in double precision), on which processors work a hundred times slower.
namespace sma {
inline namespace SMA_ISA {
namespace eigen {

/// While one of these lives, they count as 0 on this thread, as operands and as results; before and after it what the thread had set.
///
/// A sequence that falls silent leaves a recurrence's states, and gradients of the distant past, to decay into them. The mode of the
/// processor, and not a test in each recurrence: it costs nothing where it is not needed and covers a user's modules too. Set
/// around the library's own work, on its threads and on those that call it, and nowhere else. On other processors than x86-64 and
/// 64-bit ARM it does nothing.
class FlushDenormals {
 public:
  FlushDenormals() : before_(get()) {
    if ((before_ & kFlush) != kFlush) set(before_ | kFlush);
  }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
  ~FlushDenormals() {
    if ((before_ & kFlush) != kFlush) set((get() & ~kFlush) | (before_ & kFlush));
  }

 private:
#if defined(__SSE2__)
  using Word = unsigned;
  static constexpr Word kFlush = 0x8040;  // flush to zero, denormals are zero
  static Word get() { return _mm_getcsr(); }
  static void set(Word word) { _mm_setcsr(word); }
#elif defined(__aarch64__)
  using Word = std::uint64_t;
  static constexpr Word kFlush = Word{1} << 24;  // FZ
  static Word get() {
    Word word = 0;
    asm volatile("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void set(Word word) { asm volatile("msr fpcr, %0" : : "r"(word)); }
#else
  using Word = unsigned;
  static constexpr Word kFlush = 0;
  static Word get() { return 0; }
  static void set(Word) {}
#endif

  Word before_;
};

}  // namespace eigen
}  // namespace SMA_ISA
}  // namespace sma
