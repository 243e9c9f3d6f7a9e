#include <seqboat/gated_attention.hpp>
#include <sma/compose/chain.hpp>
#include <sma/eigen.hpp>
#include <sma/modules/activation.hpp>
#include <sma/modules/norm.hpp>
#include <sma/network/network.hpp>
#include <vector>

#include "unit.hpp"
