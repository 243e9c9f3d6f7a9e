#pragma once

// What the sources here include, read once for all of them.
#include <array>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <vector>
