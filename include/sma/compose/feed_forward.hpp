#pragma once

#include <sma/compose/chain.hpp>
#include <sma/modules/activation.hpp>
#include <sma/modules/dropout.hpp>
#include <sma/modules/linear.hpp>
#include <sma/ops/functions.hpp>

namespace sma {

/// y = W2 hidden_dropout(act(W1 x + b1)) + b2, a row at a time. x, y (rows, Width).
/// PyTorch: nn.Sequential(nn.Linear(Width, Hidden), act, nn.Dropout(p), nn.Linear(Hidden, Width)).
template <Index Width, Index Hidden, class Function = functions::SiLU, class HiddenDropout = std::ratio<0>>
struct FeedForward : Chain<Named<"up", Linear<Width, Hidden>>, Activation<Hidden, Function>,
                           Dropout<Hidden, HiddenDropout>, Named<"down", Linear<Hidden, Width>>> {};

}  // namespace sma
