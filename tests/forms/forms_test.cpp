#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <string>
#include <support/laws.hpp>
#include <tasks/common/paper.hpp>
#include <vector>
#ifdef SMA_TEST_WITH_THRUST
#include <sma/thrust.hpp>
#endif

/// Law 13: no form vanishes. Which kernels of the paper's models run in their plain form is listed in eigen.txt and thrust.txt beside this
/// file: a kernel that is not there has a form of the backend's own.
///
/// And what these models do at all, in order: trace/MODEL.txt holds a line for each launch, with the kernel's indices (or rows), the
/// bytes that are kept for backward then and those of scratch memory. Code that is written anew with the same traces costs the same
/// time and memory.
///
/// Where a list changes on purpose, SMA_TEST_WRITE_FORMS=1 in the environment of `forms_tests` writes it anew.
///
/// A program of its own, because it specialises what every launch calls.

using sma::Index;

namespace {

/// "Fill" of "sma::ops::Fill<float>", and "Apply of SiLU".
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
  if (const std::size_t at = name.rfind("::"); at != std::string::npos) name.erase(0, at + 2);
  if (const std::size_t at = function.find("functions::"); at != std::string_view::npos)
    name += " of " + std::string(function.substr(at + 11, function.find_first_of(">,]", at) - at - 11));
  return name;
}

std::set<std::string> launched, plain_on_eigen, plain_on_thrust;
std::vector<std::string> trace;

template <class Kernel>
Index size_of(const Kernel& kernel) {
  if constexpr (requires { kernel.extent(); })
    return kernel.extent();
  else if constexpr (requires { kernel.rows; })
    return kernel.rows;
  else
    return kernel.x.rows;
}

template <class C, class Kernel>
inline constexpr bool runs_plainly =
    std::is_same_v<decltype(run(std::declval<C&>(), std::declval<const Kernel&>())), sma::PlainForm>;

template <class C, class Kernel>
void note(const C& ctx, const Kernel& kernel) {
  const std::string name = short_name(__PRETTY_FUNCTION__);
  trace.push_back(name + " " + std::to_string(size_of(kernel)) + ", kept " +
                  std::to_string(ctx.kept_bytes()) + ", scratch " + std::to_string(ctx.scratch_bytes()));
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
  static void note(const Context<Eigen<float>>& ctx, const Kernel& kernel) { ::note(ctx, kernel); }
};

namespace {

template <class M>
struct TwoLayers : M {
  static constexpr Index layers = 2;
};
struct PairsOfTexts : TwoLayers<tasks::paper::Text> {
  struct layer : tasks::paper::TextLayer {
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
  static constexpr Index layers = 2;
};

bool wants_to_write = false;

std::string beside_this_file(const std::string& name) {
  const char* tests = std::getenv("SEQBOAT_TESTS");  // ctest says where the tests' sources are
  const auto here = tests != nullptr ? std::filesystem::path(tests) / "forms"
                                     : std::filesystem::path(__FILE__).parent_path();
  return (here / name).string();
}

template <class Lines>
void write_lines(const std::string& path, const Lines& lines) {
  std::ofstream to(path);
  for (const std::string& line : lines) to << line << "\n";
}

std::vector<std::string> read_lines(const std::string& path) {
  std::ifstream from(path);
  REQUIRE_MESSAGE(from.good(), path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(from, line);) lines.push_back(line);
  return lines;
}

void check_trace(const std::string& model) {
  const std::string path = beside_this_file("trace/" + model + ".txt");
  if (wants_to_write) return write_lines(path, trace);
  const std::vector<std::string> expected = read_lines(path);
  const auto [found, wanted] = std::mismatch(trace.begin(), trace.end(), expected.begin(), expected.end());
  CHECK_MESSAGE((found == trace.end() && wanted == expected.end()),
                path << ":" << wanted - expected.begin() + 1 << ": found '"
                     << (found == trace.end() ? "the end" : *found) << "', expected '"
                     << (wanted == expected.end() ? "the end" : *wanted) << "'");
}

/// Every pass and an update, over a few rows and over many.
template <class M, bool Streams = false>
void train(const std::string& model) {
  using Net = sma::Network<M, sma::Eigen<float>>;
  const auto begin = [](const char* what) { trace.push_back(std::string("# ") + what); };
  trace.clear();
  Net net(sma::Seed{1}, {.threads = 1, .lanes = 2});
  sma::AdamW<Net> optimizer(net);
  net.settings().auxiliary = {.load_balance = 1, .z_loss = 1, .budget = 1};
  const auto x = laws::random_input<Net>({150, 3}, 1);
  std::vector<std::int32_t> targets(
      static_cast<std::size_t>(sma::sequences_per_output<M>() == 0 ? x.rows() : 2 / Net::sequence_group));
  begin("inference");
  net.infer(x);
  begin("forward, loss and backward");
  net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, 1.0);
  begin("forward in training");
  const auto y = net.train(x);
  begin("backward");
  const std::vector<float> dy(static_cast<std::size_t>(y.count * Net::output_width), 1.0F);
  net.backward({dy.data(), y.count});
  begin("update");
  optimizer.step(1e-3, sma::clip_factor(optimizer.gradient_norm(), 1.0));
  if constexpr (Streams) {
    begin("step");
    auto stream = net.stream();
    std::array<typename Net::Element, 1> in{};
    std::array<float, static_cast<std::size_t>(Net::output_width)> out{};
    net.step(stream, in, out);
  }
  check_trace(model);
}

void check_list(const std::string& file, const std::set<std::string>& found) {
  const std::string path = beside_this_file(file);
  if (wants_to_write) return write_lines(path, found);
  const std::vector<std::string> lines = read_lines(path);
  const std::set<std::string> expected(lines.begin(), lines.end());
  for (const std::string& name : found)
    CHECK_MESSAGE(expected.contains(name), name << " runs in its plain form, and is not listed in " << path);
  for (const std::string& name : expected)
    CHECK_MESSAGE(found.contains(name),
                  name << " is listed in " << path << ", and does not run in its plain form");
}

}  // namespace

TEST_CASE("the paper's models launch what they did, and run plainly what is listed") {
  wants_to_write = std::getenv("SMA_TEST_WRITE_FORMS") != nullptr;
  train<seqboat::Classifier<TwoLayers<tasks::paper::ListOps>>>("listops");
  train<seqboat::PairClassifier<PairsOfTexts>>("pairs");
  train<seqboat::Classifier<TwoLayers<tasks::paper::Image>>>("image");
  train<seqboat::LanguageModel<Language>, true>("language");
  CHECK(launched.size() > 40);
  check_list("eigen.txt", plain_on_eigen);
#ifdef SMA_TEST_WITH_THRUST
  check_list("thrust.txt", plain_on_thrust);
#endif
}
