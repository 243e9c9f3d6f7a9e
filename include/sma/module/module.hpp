#pragma once

/// What a module is, and what may be asked of one.

#include <sma/module/call.hpp>
#include <sma/module/check.hpp>
#include <sma/module/contract.hpp>
#include <sma/module/facts.hpp>
#include <sma/module/layout.hpp>
#include <sma/module/tensors.hpp>
