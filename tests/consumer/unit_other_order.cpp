// clang-format off: the order is what is tested.
#include <seqboat/reference_names.hpp>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/trainer.hpp>
// clang-format on

#include "unit.hpp"
