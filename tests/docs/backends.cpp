/// The snippets of docs/backends.md.

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <sma/eigen.hpp>
#include <sma/shards/one_lane.hpp>
#include <sma/sma.hpp>
#include <vector>

namespace mine {

template <class T>
struct Halve {  // x = x / 2, in place
  T* x;
  sma::Index count;
  SMA_HD sma::Index extent() const { return count; }
  SMA_HD void operator()(sma::Index i) const { x[i] /= 2; }
};

/// On the CPU, Eigen's own loop. It stands beside the kernel: the call finds it by its arguments.
template <class T>
void run(sma::Context<sma::Eigen<T>>&, const Halve<T>& k) {
  ::Eigen::Map<::Eigen::Array<T, ::Eigen::Dynamic, 1>>(k.x, k.count) *= T(0.5);
}

/// A backend of one's own: host memory, one thread, plain loops.
template <class ScalarType>
struct Plain {
  using Scalar = ScalarType;
  using Team = sma::OneLaneTeam;  // runs the shards of a batch: here one
  static constexpr bool host_accessible = true;

  static void* allocate(std::size_t bytes) { return ::operator new(bytes); }
  static void deallocate(void* data) { ::operator delete(data); }
  static void upload(void* to, const void* from, std::size_t bytes) { std::memmove(to, from, bytes); }
  static void download(void* to, const void* from, std::size_t bytes) { std::memmove(to, from, bytes); }
  static void wait() {}
  template <class F>
  static void for_each_index(sma::Index count, const F& f) {
    for (sma::Index i = 0; i < count; ++i) f(i);
  }
};
static_assert(sma::Backend<Plain<float>>);

}  // namespace mine

TEST_CASE("a kernel runs by the overload of its context, or index by index") {
  std::vector<double> numbers(100, 2.0);
  sma::Context<sma::Eigen<double>> eigen;
  eigen.launch(mine::Halve<double>{numbers.data(), 100});
  sma::Context<mine::Plain<double>> plain;
  plain.launch(mine::Halve<double>{numbers.data(), 100});
  CHECK(numbers == std::vector<double>(100, 0.5));
}

TEST_CASE("a network on a backend of one's own gives what it gives on Eigen") {
  using Model = sma::Chain<sma::LayerNorm<8>, sma::FeedForward<8, 16>>;
  sma::Network<Model, mine::Plain<double>> plain{sma::Seed{1}};
  sma::Network<Model, sma::Eigen<double>> eigen{sma::Seed{1}, {.threads = 2, .lanes = 4}};
  sma::Batch<double, 8> x{5, 0, 9};
  for (sma::Index i = 0; double& value : x.values()) value = static_cast<double>(++i % 7) - 3;
  const std::vector<double> dy(14 * 8, 1.0);
  const auto a = plain.train(x);
  const auto b = eigen.train(x);
  plain.backward({dy.data(), 14});
  eigen.backward({dy.data(), 14});
  for (sma::Index i = 0; i < 14; ++i)
    for (sma::Index j = 0; j < 8; ++j) CHECK(a(i, j) == doctest::Approx(b(i, j)).epsilon(1e-12));
  for (std::size_t i = 0; i < plain.gradients().size(); ++i)
    CHECK(plain.gradients()[i] == doctest::Approx(eigen.gradients()[i]).epsilon(1e-12));
}
