#include <sma/eigen/ops/linear.hpp>
