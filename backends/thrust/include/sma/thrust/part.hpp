#pragma once

// Every part of the backend includes this.

#ifndef SMA_THRUST_WHOLE
#error "include <sma/thrust.hpp>: a part of the backend alone compiles networks without the others' forms"
#include <nothing>  // so that this is all that the compiler says
#endif

#include <sma/base/config.hpp>
