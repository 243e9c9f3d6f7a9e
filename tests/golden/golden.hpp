#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <seqboat/reference_names.hpp>
#include <seqboat/seqboat.hpp>
#include <set>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <sma/train/schedule.hpp>
#include <string>
#include <type_traits>
#include <vector>

#if defined(SMA_TEST_THRUST_SYSTEM)
#include <sma/thrust.hpp>
#else
#include <sma/eigen.hpp>
#endif

/// Runs networks on what the reference implementation was given and compares with what it computed. generate.py writes the
/// test cases that call `check_layer` and `check_model`.
///
/// Errors are relative to the tensor's largest magnitude; a tensor that is zero is compared absolutely.
namespace golden {

using sma::Index;

/// The directory of manifest.json and its files, SEQBOAT_GOLDEN_DIR of the build. In a unit of its own, so that the others do not
/// depend on where the sources lie. An environment variable of that name goes before it.
extern const char* const directory;

/// The backend under test: Eigen, or Thrust on SMA_TEST_THRUST_SYSTEM.
#if defined(SMA_TEST_THRUST_SYSTEM)
template <class S>
using Backend = sma::Thrust<sma::SMA_TEST_THRUST_SYSTEM, S>;
#else
template <class S>
using Backend = sma::Eigen<S>;
#endif

/// How a trajectory is trained; no steps: there is none.
struct Recipe {
  Index steps = 0;
  sma::AdamOptions adam;
  double clip = 0.0;
  sma::Schedule schedule;
};

/// One layer: output, decisions, confidences, gradients, running statistics.
template <class Layer, class S>
void check_layer(const std::string& name);

/// A classifier or language model: logits, loss, gradients, running statistics, then the trajectory.
template <class Model, class S>
void check_model(const std::string& name, const Recipe& recipe = {});

template <class S>
inline constexpr double tolerance = std::is_same_v<S, double> ? 1e-9 : 1e-4;
template <class S>
inline constexpr double trajectory_tolerance = std::is_same_v<S, double> ? 1e-7 : 1e-3;

/// A file of golden vectors that knows which of its expectations nobody has looked at.
class File {
 public:
  explicit File(const std::string& name) : file_(sma::SafetensorsFile::open(place() + "/" + name)) {
    for (const std::string& tensor : file_.names())
      if (tensor.starts_with("expect.")) unread_.insert(tensor);
  }

  [[nodiscard]] const sma::SafetensorsFile& tensors() const { return file_; }
  [[nodiscard]] bool contains(const std::string& tensor) const { return file_.contains(tensor); }
  [[nodiscard]] std::vector<Index> shape(const std::string& tensor) const {
    const auto& shape = file_.info(tensor).shape;
    return {shape.begin(), shape.end()};
  }
  std::vector<double> read(const std::string& tensor, const std::vector<std::int64_t>& expected_shape) {
    unread_.erase(tensor);
    std::vector<double> values(file_.info(tensor).count());
    file_.read_into(tensor, values.data(), expected_shape);
    return values;
  }
  void check_all_read() const {
    for (const std::string& tensor : unread_) FAIL_CHECK(tensor << ": no check reads this tensor");
  }

 private:
  static std::string place() {
    const char* given = std::getenv("SEQBOAT_GOLDEN_DIR");
    return given != nullptr ? given : directory;
  }

  sma::SafetensorsFile file_;
  std::set<std::string> unread_;
};

/// Which cells of a padded (time, batch) grid are steps of sequences. Padding stands before or behind a sequence.
class Grid {
 public:
  Grid(Index time, Index batch)
      : time_(time),
        first_(static_cast<std::size_t>(batch), 0),
        length_(static_cast<std::size_t>(batch), time) {}

  /// The steps of each sequence, from lengths (batch).
  static Grid from_lengths(Index time, const std::vector<double>& lengths) {
    Grid grid(time, static_cast<Index>(lengths.size()));
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      grid.length_[b] = static_cast<Index>(lengths[b]);
      if (grid.length_[b] < 0 || grid.length_[b] > time)
        throw sma::Error("input.lengths: found " + std::to_string(grid.length_[b]) + ", expected 0 to " +
                         std::to_string(time));
    }
    return grid;
  }

  /// The same, from a mask (batch, time) that is 1 at padding.
  static Grid from_mask(Index time, Index batch, const std::vector<double>& padding) {
    Grid grid(time, batch);
    for (std::size_t b = 0; b < grid.length_.size(); ++b) {
      const double* row = padding.data() + b * static_cast<std::size_t>(time);
      Index begin = 0;
      Index end = time;
      while (begin < end && row[begin] != 0) ++begin;
      while (end > begin && row[end - 1] != 0) --end;
      if (std::any_of(row + begin, row + end, [](double cell) { return cell != 0; }))
        throw sma::Error("input.padding_mask: found padding inside sequence " + std::to_string(b) +
                         ", expected it before or behind");
      grid.first_[b] = begin;
      grid.length_[b] = end - begin;
    }
    return grid;
  }

  [[nodiscard]] Index time() const { return time_; }
  [[nodiscard]] Index batch() const { return static_cast<Index>(length_.size()); }

  /// The steps of sequence b from values (time, batch, width), or (batch, time, width) unless `time_major`.
  [[nodiscard]] std::vector<double> sequence(const std::vector<double>& values, Index b, Index width,
                                             bool time_major) const {
    const auto at = static_cast<std::size_t>(b);
    std::vector<double> steps;
    for (Index t = first_[at]; t < first_[at] + length_[at]; ++t) {
      const Index cell = time_major ? t * batch() + b : b * time_ + t;
      steps.insert(steps.end(), values.begin() + cell * width, values.begin() + (cell + 1) * width);
    }
    return steps;
  }

  /// All sequences' steps, one after another.
  [[nodiscard]] std::vector<double> packed(const std::vector<double>& values, Index width,
                                           bool time_major) const {
    std::vector<double> rows;
    for (Index b = 0; b < batch(); ++b) {
      const auto steps = sequence(values, b, width, time_major);
      rows.insert(rows.end(), steps.begin(), steps.end());
    }
    return rows;
  }

 private:
  Index time_;
  std::vector<Index> first_;   // (batch)
  std::vector<Index> length_;  // (batch)
};

template <class T>
std::vector<double> to_double(const T* data, Index count) {
  return {data, data + count};
}
/// What stands in the network's memory, which may be a GPU's.
template <class Net>
std::vector<double> to_double(Net& net, std::span<typename Net::Scalar> device) {
  const auto host = sma::host_copy(net, device);
  return {host.begin(), host.end()};
}
template <class T>
std::vector<T> converted(const std::vector<double>& values) {
  std::vector<T> out(values.size());
  std::transform(values.begin(), values.end(), out.begin(),
                 [](double value) { return static_cast<T>(value); });
  return out;
}

inline void check_close(const std::string& name, const std::vector<double>& found,
                        const std::vector<double>& expected, double relative) {
  REQUIRE_MESSAGE(found.size() == expected.size(), name);
  double largest = 0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  constexpr double rounding = 1e-12;  // a gradient that is zero but for the order of sums
  const double scale = largest < rounding ? 1.0 : largest;
  double worst = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double error = std::abs(found[i] - expected[i]) / scale;
    if (error <= worst) continue;  // not so for NaN
    worst = error;
    at = i;
    if (std::isnan(error)) break;
  }
  if (found.empty()) return;
  CHECK_MESSAGE(worst <= relative, name << ": element " << at << ": found " << found[at] << ", expected "
                                        << expected[at] << "; relative error " << worst << " of at most "
                                        << relative << ", largest magnitude " << largest);
}

/// Compares our tensors, put together as the reference has them, with those under `prefix`.
inline void check_tensors(File& file, const std::string& prefix,
                          const std::vector<seqboat::ReferenceSlice>& slices,
                          const std::vector<double>& values, double relative) {
  std::set<std::string> done;
  for (const auto& slice : slices) {
    if (!done.insert(slice.name).second) continue;
    const auto expected = file.read(prefix + slice.name, slice.shape);
    std::vector<double> found(expected.size());
    for (const auto& part : slices)
      if (part.name == slice.name)
        std::copy_n(values.begin() + part.entry.offset, part.entry.size, found.begin() + part.first);
    check_close(prefix + slice.name, found, expected, relative);
  }
}

template <class Net>
void check_gradients(File& file, Net& net) {
  using S = typename Net::Scalar;
  check_tensors(file, "expect.grad.", seqboat::reference_parameters<typename Net::description>(),
                to_double(net, net.gradients()), tolerance<S>);
}

/// Running statistics, where the file holds them.
template <class Net>
void check_buffers(File& file, Net& net, const std::string& prefix, double relative) {
  const auto slices = seqboat::reference_buffers<typename Net::description>();
  if (slices.empty() || !file.contains(prefix + slices.front().name)) return;
  check_tensors(file, prefix, slices, to_double(net, net.buffers()), relative);
}

/// Decisions and weights of each step; without a router every step is active with weight 1.
inline void check_decisions(File& file, const Grid& grid, const std::vector<double>& weights,
                            double relative) {
  const std::vector<std::int64_t> shape{grid.batch(), grid.time()};
  if (file.contains("expect.active")) {
    const auto expected = grid.packed(file.read("expect.active", shape), 1, false);
    REQUIRE(expected.size() == weights.size());
    Index differ = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) differ += (weights[i] != 0) != (expected[i] != 0);
    CHECK_MESSAGE(differ == 0,
                  "expect.active: " << differ << " of " << weights.size() << " decisions differ");
  }
  if (file.contains("expect.confidence"))
    check_close("expect.confidence", weights, grid.packed(file.read("expect.confidence", shape), 1, false),
                relative);
}

template <class Net>
void load_parameters(Net& net, const File& file) {
  seqboat::load_reference(net, file.tensors(), {.prefix = "param.", .buffers = false});
}

template <class Layer, class S>
void check_layer(const std::string& name) {
  using Net = sma::Network<Layer, Backend<S>>;
  static_assert(Net::trace_width <= 1, "a layer has one router with one branch, or none");
  constexpr Index width = Net::input_width;
  File file(name);
  Net net{sma::Seed{1}};
  load_parameters(net, file);

  const auto shape = file.shape("input.x");  // (T, B, width)
  if (shape.size() != 3)
    throw sma::Error(name + ": tensor 'input.x': found rank " + std::to_string(shape.size()) +
                     ", expected 3");
  const std::vector<std::int64_t> grid_shape{shape[0], shape[1], width};
  const Grid grid =
      file.contains("input.padding_mask")
          ? Grid::from_mask(shape[0], shape[1], file.read("input.padding_mask", {shape[1], shape[0]}))
          : Grid(shape[0], shape[1]);
  const auto input = file.read("input.x", grid_shape);
  sma::Batch<S, width> x;
  for (Index b = 0; b < grid.batch(); ++b) x.append(converted<S>(grid.sequence(input, b, width, true)));
  const auto dy = converted<S>(grid.packed(file.read("input.grad_out", grid_shape), width, true));

  std::vector<S> trace(static_cast<std::size_t>(x.rows() * Net::trace_width));
  const auto y = net.train(x, std::span<S>(trace));
  check_close("expect.out", to_double(y.host().data, y.count * width),
              grid.packed(file.read("expect.out", grid_shape), width, true), tolerance<S>);
  if constexpr (Net::trace_width == 1)
    check_decisions(file, grid, to_double(trace.data(), x.rows()), tolerance<S>);
  else
    check_decisions(file, grid, std::vector<double>(static_cast<std::size_t>(x.rows()), 1.0), tolerance<S>);

  const auto dx = net.backward({dy.data(), x.rows()});
  check_close("expect.grad.x", to_double(dx.host().data, x.rows() * width),
              grid.packed(file.read("expect.grad.x", grid_shape), width, true), tolerance<S>);
  check_gradients(file, net);
  check_buffers(file, net, "expect.buffer.", tolerance<S>);
  file.check_all_read();
}

/// Trains from the initial parameters on; `net` has seen one pass already, as running statistics tell of the reference.
template <class Net>
void check_trajectory(File& file, Net& net, const sma::Batch<typename Net::Element, 1>& x,
                      const std::vector<std::int32_t>& targets, const Recipe& recipe) {
  using S = typename Net::Scalar;
  sma::AdamW<Net> adam(net, recipe.adam);
  std::vector<double> losses;
  std::vector<double> norms;
  std::vector<double> rates;
  for (Index step = 1; step <= recipe.steps; ++step) {
    net.zero_gradients();
    losses.push_back(net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{},
                                    1.0 / static_cast<double>(targets.size()))
                         .loss);
    norms.push_back(adam.gradient_norm());
    rates.push_back(recipe.schedule.at(static_cast<double>(step)));
    adam.step(rates.back(), sma::clip_factor(norms.back(), recipe.clip));
  }

  const std::vector<std::int64_t> steps{recipe.steps};
  const auto expected_norms = file.read("expect.train.grad_norms", steps);
  check_close("expect.train.losses", losses, file.read("expect.train.losses", steps),
              trajectory_tolerance<S>);
  check_close("expect.train.lrs", rates, file.read("expect.train.lrs", steps), 1e-9);
  // In single precision AdamW turns the rounding noise of directions without gradient into steps: only losses are held there.
  const double rest = std::is_same_v<S, double> ? trajectory_tolerance<S> : HUGE_VAL;
  check_close("expect.train.grad_norms", norms, expected_norms, rest);
  check_tensors(file, "expect.train.param.", seqboat::reference_parameters<typename Net::description>(),
                to_double(net, net.parameters()), rest);
  check_buffers(file, net, "expect.train.buffer.", rest);
}

template <class Model, class S>
void check_model(const std::string& name, const Recipe& recipe) {
  using Net = sma::Network<Model, Backend<S>>;
  using Element = typename Net::Element;
  constexpr bool pooled = sma::sequences_per_output<Model>() == 1;  // one output a sequence, or one a step
  const std::string input = sma::takes_tokens<Model>() ? "input.tokens" : "input.pixels";
  const std::string answers = pooled ? "input.labels" : "input.targets";
  File file(name);
  const auto shape = file.shape(input);  // (B, T)
  if (shape.size() != 2)
    throw sma::Error(name + ": tensor '" + input + "': found rank " + std::to_string(shape.size()) +
                     ", expected 2");
  const std::vector<std::int64_t> grid_shape{shape[0], shape[1]};
  const Grid grid = file.contains("input.lengths")
                        ? Grid::from_lengths(shape[1], file.read("input.lengths", {shape[0]}))
                    : file.contains("input.padding_mask")
                        ? Grid::from_mask(shape[1], shape[0], file.read("input.padding_mask", grid_shape))
                        : Grid(shape[1], shape[0]);
  const auto elements = file.read(input, grid_shape);
  sma::Batch<Element, 1> x;
  for (Index b = 0; b < grid.batch(); ++b) x.append(converted<Element>(grid.sequence(elements, b, 1, false)));

  constexpr Index classes = Net::output_width;
  std::vector<double> logits;
  std::vector<std::int32_t> targets;
  if constexpr (pooled) {
    logits = file.read("expect.logits", {shape[0], classes});
    targets = converted<std::int32_t>(file.read(answers, {shape[0]}));
  } else {
    logits = grid.packed(file.read("expect.logits", {shape[0], shape[1], classes}), classes, false);
    targets = converted<std::int32_t>(grid.packed(file.read(answers, grid_shape), 1, false));
  }
  const double share = 1.0 / static_cast<double>(targets.size());
  const auto loss = file.read("expect.loss", {1});

  Net plain{sma::Seed{1}};
  load_parameters(plain, file);
  const auto y = plain.train(x);
  check_close("expect.logits", to_double(y.host().data, y.count * classes), logits, tolerance<S>);
  check_close("expect.loss", {sma::CrossEntropy::evaluate(y, targets).loss * share}, loss, tolerance<S>);

  Net net{sma::Seed{1}};
  load_parameters(net, file);
  const auto sum = net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, share);
  check_close("expect.loss", {sum.loss}, loss, tolerance<S>);
  check_gradients(file, net);
  check_buffers(file, net, "expect.buffer.", tolerance<S>);
  if (recipe.steps > 0) check_trajectory(file, net, x, targets, recipe);
  file.check_all_read();
}

}  // namespace golden
