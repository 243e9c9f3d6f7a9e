#pragma once

#include <algorithm>
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
/// carried in streams. The bytes are cut into runs of runs.length, a stream each, so that threads share the work and the result
/// depends on none; a run reads up to runs.ahead bytes of the part before its own, so that each byte is predicted from all bytes of the
/// part before it or from more than runs.ahead of them. Activation is not measured.
template <class Net>
sma::Evaluation evaluate_streamed(const Net& net, const ByteText& text, ByteText::Part part,
                                  sma::Index threads, std::size_t most = 0, const Runs& runs = {}) {
  if (most > 0) part.end = std::min(part.end, part.begin + most);
  constexpr std::size_t kChunk = 1024;
  using Scalar = typename Net::Scalar;
  const auto loss_of_run = [&](std::size_t begin) {
    auto stream = net.stream();
    std::vector<sma::Token> tokens;
    std::vector<std::int32_t> targets;
    std::vector<Scalar> logits;
    sma::LossSum sum;
    const std::size_t end = std::min(begin + runs.length, part.end);
    for (std::size_t at = std::max(begin, part.begin + runs.ahead) - runs.ahead; at < end;) {
      const bool predicts = at >= begin;
      const std::size_t stop = std::min(at + kChunk, predicts ? end : begin);
      tokens.clear();
      targets.clear();
      for (; at < stop; ++at) {
        tokens.push_back(text.before(at));
        targets.push_back(text.bytes()[at]);
      }
      logits.resize(predicts ? tokens.size() * Net::output_width : 0);
      net.steps(stream, tokens, logits);
      if (!predicts) continue;
      const sma::Output<Scalar, Net::output_width> y({logits.data(), static_cast<sma::Index>(tokens.size())});
      const sma::LossSum chunk = sma::CrossEntropy::evaluate(y, targets);
      sum.loss += chunk.loss;
      sum.correct += chunk.correct;
      sum.counted += chunk.counted;
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
