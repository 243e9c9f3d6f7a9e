// expected-error: sma::child<Name>(w) requires the Name of one of the module's Children
// expected-error: no_child_of_this_name<Pair

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Pair {
  using Children =
      sma::Children<sma::Child<"first", sma::Linear<4, 3>>, sma::Child<"other", sma::Linear<3, 2>>>;
};

auto second(sma::Weights<Pair, float> w) { return sma::child<"second">(w).data; }
