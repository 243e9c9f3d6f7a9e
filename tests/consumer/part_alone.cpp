#include <sma/eigen/linear.hpp>
