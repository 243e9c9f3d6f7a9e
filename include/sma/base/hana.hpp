#pragma once

/// What of Boost.Hana the library uses. <complex.h>, where the compiler speaks GNU's dialect, defines a macro `I`, which Hana's headers
/// take for a name of theirs.

#include <boost/version.hpp>
#if BOOST_VERSION < 108100
#error "seqboat needs Boost 1.81 or later: an older Boost.Hana does not compile as C++20"
#include <nothing>  // so that this is all that the compiler says
#endif

#pragma push_macro("I")
#undef I
#include <boost/hana/integral_constant.hpp>
#include <boost/hana/range.hpp>
#include <boost/hana/unpack.hpp>
#pragma pop_macro("I")
