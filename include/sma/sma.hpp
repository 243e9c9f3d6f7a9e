#pragma once

/// The whole DSL. It knows no backend: include <sma/eigen.hpp> or <sma/thrust.hpp> beside it.

#include <sma/compose/chain.hpp>
#include <sma/compose/feed_forward.hpp>
#include <sma/compose/repeat.hpp>
#include <sma/compose/residual.hpp>
#include <sma/compose/sum.hpp>
#include <sma/compose/tied.hpp>
#include <sma/modules/activation.hpp>
#include <sma/modules/cumulative_mean.hpp>
#include <sma/modules/dropout.hpp>
#include <sma/modules/embedding.hpp>
#include <sma/modules/linear.hpp>
#include <sma/modules/map.hpp>
#include <sma/modules/norm.hpp>
#include <sma/modules/pool.hpp>
#include <sma/network/network.hpp>
#include <sma/routing/router.hpp>
