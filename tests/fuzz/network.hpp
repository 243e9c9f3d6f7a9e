#pragma once

#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <span>
#include <string>

/// The small networks whose files are read.
namespace fuzz {

using Classifier = sma::Network<
    sma::Chain<sma::Named<"embed", sma::RealEmbedding<2>>, sma::Named<"batch", sma::BatchNorm<2>>,
               sma::MeanPool<2>, sma::Named<"head", sma::Linear<2, 2>>>,
    sma::Eigen<float>>;

using Recurrence =
    sma::Network<sma::Chain<seqboat::Ema<2, 2, false, 2>,
                            seqboat::GatedAttention<2, 2, 2, seqboat::Window<2>, seqboat::Softmax,
                                                    seqboat::SimplePosition<3>, true>>,
                 sma::Eigen<float>>;

/// To compare numbers that need not be numbers.
inline std::string bytes_of(std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace fuzz
