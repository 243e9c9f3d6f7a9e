#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <lra/paper.hpp>
#include <set>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <sstream>
#include <string>
#include <support/laws.hpp>
#ifdef SMA_TEST_WITH_THRUST
#include <sma/thrust.hpp>
#endif

/// Law 13: no form vanishes. Which kernels of the paper's models run in their plain form is listed in eigen.txt and thrust.txt beside this
/// file: a kernel that is not there has a form of the backend's own. Where a list
/// changes on purpose, SMA_TEST_WRITE_FORMS=1 in the environment of `forms_tests` writes it anew.
///
/// A program of its own, because it specialises what every launch calls.

using sma::Index;

namespace {

/// "Fill" of "sma::kernels::Fill<float>", "BatchNorm::Mean" of "sma::BatchNorm<160, true>::Mean<float>", and "Apply of SiLU".
std::string short_name(std::string_view function) {
  const std::size_t begin = function.find("Kernel = ") + 9;
  std::string name;
  int depth = 0;
  for (const char c : function.substr(begin)) {
    if (depth == 0 && (c == ';' || c == ']')) break;
    if (c == '<') ++depth;
    if (depth == 0) name += c;
    if (c == '>') --depth;
  }
  for (const std::string_view space : {"sma::", "seqboat::", "kernels::"})
    if (const std::size_t at = name.find(space); at != std::string::npos) name.erase(0, at + space.size());
  if (const std::size_t at = name.find("kernels::"); at != std::string::npos) name.erase(0, at + 9);
  if (const std::size_t at = function.find("functions::"); at != std::string_view::npos)
    name += " of " + std::string(function.substr(at + 11, function.find_first_of(">,]", at) - at - 11));
  return name;
}

std::set<std::string> launched, plain_on_eigen, plain_on_thrust;

template <class C, class Kernel>
inline constexpr bool runs_plainly =
    std::is_same_v<decltype(run(std::declval<C&>(), std::declval<const Kernel&>())), sma::PlainForm>;

template <class Kernel>
void note() {
  const std::string name = short_name(__PRETTY_FUNCTION__);
  launched.insert(name);
  if (runs_plainly<sma::Context<sma::Eigen<float>>, Kernel>) plain_on_eigen.insert(name);
#ifdef SMA_TEST_WITH_THRUST
  constexpr bool cpp = runs_plainly<sma::Context<sma::Thrust<sma::cpp, float>>, Kernel>;
#ifdef _OPENMP
  static_assert(cpp == runs_plainly<sma::Context<sma::Thrust<sma::omp, float>>, Kernel>);
#endif
#if __has_include(<tbb/version.h>)
  static_assert(cpp == runs_plainly<sma::Context<sma::Thrust<sma::tbb, float>>, Kernel>);
#endif
  if (cpp) plain_on_thrust.insert(name);
#endif
}

}  // namespace

template <class Kernel>
struct sma::Launched<sma::Context<sma::Eigen<float>>, Kernel> {
  static void note(const Context<Eigen<float>>&, const Kernel&) { ::note<Kernel>(); }
};

namespace {

template <class M>
struct OneLayer : M {
  static constexpr Index layers = 1;
};
struct PairsOfTexts : OneLayer<lra::paper::Text> {
  struct layer : lra::paper::TextLayer {
    using position = seqboat::SimplePosition<4002>;
  };
};
struct LanguageLayer : seqboat::LayerDefaults {
  static constexpr Index width = 64, query_width = 32, hidden_width = 128, truncation = 64;
  static constexpr bool causal = true;
  using position = seqboat::RotaryPosition;
  using dropout = std::ratio<1, 10>;
  using hidden_dropout = std::ratio<1, 10>;
};
struct Language : seqboat::LanguageModelDefaults {
  using layer = LanguageLayer;
  static constexpr Index layers = 1;
};

/// Every pass and an update, over a few rows and over many.
template <class M, bool Streams = false>
void train() {
  using Net = sma::Network<M, sma::Eigen<float>>;
  Net net(sma::Seed{1}, {.threads = 1, .lanes = 1});
  sma::AdamW<Net> optimizer(net);
  net.settings().auxiliary = {.load_balance = 1, .z_loss = 1, .budget = 1};
  const auto x = laws::random_input<Net>({150, 3}, 1);
  std::vector<std::int32_t> targets(
      static_cast<std::size_t>(sma::sequences_per_output<M>() == 0 ? x.rows() : 2 / Net::sequence_group));
  net.forward(x);
  net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, 1.0);
  net.training(true);
  const auto y = net.forward(x);
  const std::vector<float> dy(static_cast<std::size_t>(y.count * Net::output_width), 1.0F);
  net.backward({dy.data(), y.count});
  optimizer.step(1e-3, sma::clip_factor(optimizer.gradient_norm(), 1.0));
  if constexpr (Streams) {
    auto stream = net.stream();
    std::array<typename Net::Element, 1> in{};
    std::array<float, static_cast<std::size_t>(Net::output_width)> out{};
    net.step(stream, in, out);
  }
}

bool wants_to_write = false;

void check_list(const std::string& file, const std::set<std::string>& found) {
  const char* tests = std::getenv("SEQBOAT_TESTS");  // ctest says where the tests' sources are
  const auto here = tests != nullptr ? std::filesystem::path(tests) / "forms"
                                     : std::filesystem::path(__FILE__).parent_path();
  const std::string path = (here / file).string();
  if (wants_to_write) {
    std::ofstream to(path);
    for (const std::string& name : found) to << name << "\n";
    return;
  }
  std::ifstream from(path);
  REQUIRE_MESSAGE(from.good(), path);
  std::set<std::string> expected;
  for (std::string name; std::getline(from, name);) expected.insert(name);
  for (const std::string& name : found)
    CHECK_MESSAGE(expected.contains(name), name << " runs in its plain form, and is not listed in " << path);
  for (const std::string& name : expected)
    CHECK_MESSAGE(found.contains(name),
                  name << " is listed in " << path << ", and does not run in its plain form");
}

}  // namespace

TEST_CASE("the kernels of the paper's models that run in their plain form are the listed ones") {
  wants_to_write = std::getenv("SMA_TEST_WRITE_FORMS") != nullptr;
  train<seqboat::Classifier<OneLayer<lra::paper::ListOps>>>();
  train<seqboat::PairClassifier<PairsOfTexts>>();
  train<seqboat::Classifier<OneLayer<lra::paper::Image>>>();
  train<seqboat::LanguageModel<Language>, true>();
  CHECK(launched.size() > 40);
  check_list("eigen.txt", plain_on_eigen);
#ifdef SMA_TEST_WITH_THRUST
  check_list("thrust.txt", plain_on_thrust);
#endif
}
