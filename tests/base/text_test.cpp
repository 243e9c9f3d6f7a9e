#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <sma/base/random.hpp>
#include <sma/base/text.hpp>

using sma::ascii_text;
using sma::number_of;
using sma::number_text;
using sma::one_line;
using sma::quoted_name;

TEST_CASE("a number's text is short and reads back as the number") {
  CHECK(number_text(0.5) == "0.5");
  CHECK(number_text(1e-9) == "1e-09");
  CHECK(number_text(-0.0) == "-0");
  CHECK(number_text(std::numeric_limits<double>::infinity()) == "inf");
  sma::RandomSequence random(1, 2);
  for (int i = 0; i < 1000; ++i) {
    const double value = random.normal() * std::pow(10.0, 600.0 * random.uniform() - 300.0);
    CHECK(number_of(number_text(value)) == value);
  }
  CHECK(std::isnan(number_of(number_text(std::nan(""))).value()));
}

TEST_CASE("other text is no number") {
  for (const char* text : {"", " 1", "1 ", "1x", "--1", "1e", "0x10"}) CHECK_MESSAGE(!number_of(text), text);
}

TEST_CASE("bytes that cannot be printed are shown") {
  CHECK(ascii_text("a b~") == "a b~");
  CHECK(ascii_text(std::string_view("\x1f\x8b\0\xef\x7f", 5)) == "\\x1f\\x8b\\x00\\xef\\x7f");
}

TEST_CASE("a line stays one line, in any language") {
  CHECK(one_line("a\tb\n\x7f") == "a\\x09b\\x0a\\x7f");
  CHECK(one_line("caf\xc3\xa9") == "caf\xc3\xa9");
}

TEST_CASE("a name in quotation marks is on one line, and cut between two characters") {
  CHECK(quoted_name("a b\n") == "'a b\\x0a'");
  std::string name = "x";
  for (int i = 0; i < 200; ++i) name += "\xc3\xa9";
  CHECK(quoted_name(name) == "'" + name.substr(0, 199) + "...'");
}
