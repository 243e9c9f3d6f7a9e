#include <boost/version.hpp>
#undef BOOST_VERSION
#define BOOST_VERSION 107400
#include <sma/sma.hpp>
