#pragma once

/// What of Boost.Hana the library uses. <complex.h>, where the compiler speaks GNU's dialect, defines a macro `I`, which Hana's headers
/// take for a name of theirs.

#pragma push_macro("I")
#undef I
#include <boost/hana/integral_constant.hpp>
#include <boost/hana/range.hpp>
#include <boost/hana/unpack.hpp>
#pragma pop_macro("I")
