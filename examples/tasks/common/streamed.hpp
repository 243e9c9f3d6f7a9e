#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <sma/network/network.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/trainer_options.hpp>
#include <span>
#include <tasks/data/bytes.hpp>
#include <thread>
#include <vector>

namespace tasks {

/// Runs of a streamed evaluation: how many bytes one stream predicts, and how many before them it reads first.
struct Runs {
  std::size_t length = std::size_t{1} << 18;
  std::size_t ahead = std::size_t{1} << 14;
};

/// Loss and accuracy of a byte model, y (256 logits a step), over the first `most` bytes of a part of a text (0: all), its context
/// carried from step to step. The bytes are cut into runs of runs.length, a stream each, so that threads share the work and the result
/// depends on none; a run reads up to runs.ahead bytes of the part before its own, so that each byte is predicted from all bytes of the
/// part before it or from more than runs.ahead of them. Activation is not measured.
template <class Net>
sma::Evaluation evaluate_streamed(const Net& net, const ByteText& text, ByteText::Part part,
                                  sma::Index threads, std::size_t most = 0, const Runs& runs = {}) {
  if (most > 0) part.end = std::min(part.end, part.begin + most);
  const auto loss_of_run = [&](std::size_t begin) {
    auto stream = net.stream();
    std::array<typename Net::Scalar, Net::output_width> logits;
    sma::LossSum sum;
    const std::size_t end = std::min(begin + runs.length, part.end);
    for (std::size_t at = std::max(begin, part.begin + runs.ahead) - runs.ahead; at < end; ++at) {
      net.step(stream, std::array<sma::Token, 1>{text.before(at)}, logits);
      if (at < begin) continue;
      const sma::Output<typename Net::Scalar, Net::output_width> y({logits.data(), 1});
      const sma::LossSum byte = sma::CrossEntropy::evaluate(y, std::array<std::int32_t, 1>{text.bytes()[at]});
      sum.loss += byte.loss;
      sum.correct += byte.correct;
      sum.counted += 1;
    }
    return sum;
  };

  std::vector<sma::LossSum> sums((part.size() + runs.length - 1) / runs.length);
  std::vector<std::exception_ptr> errors(sums.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < sums.size(); i = next++) {
      try {
        sums[i] = loss_of_run(part.begin + i * runs.length);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> team;
    for (sma::Index i = 1; i < std::min(threads, static_cast<sma::Index>(sums.size())); ++i)
      team.emplace_back(work);
    work();
  }
  sma::LossSum total;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (errors[i]) std::rethrow_exception(errors[i]);
    total.loss += sums[i].loss;
    total.correct += sums[i].correct;
    total.counted += sums[i].counted;
  }
  return {
      total.loss / total.counted, total.correct / total.counted, static_cast<sma::Index>(total.counted), {}};
}

}  // namespace tasks
