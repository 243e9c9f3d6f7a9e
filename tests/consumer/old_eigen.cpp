#include <Eigen/Core>
#undef EIGEN_MAJOR_VERSION
#define EIGEN_MAJOR_VERSION 3
#include <sma/eigen.hpp>
