#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <string_view>

#include <sma/io/json.hpp>

namespace {

using sma::detail::is_utf8;
using sma::detail::json_members;
using sma::detail::json_number;
using sma::detail::json_string;
using Members = std::map<std::string, std::string, std::less<>>;
using namespace std::string_literals;

}  // namespace

TEST_CASE("a string's JSON escapes quotation marks, backslashes and control characters, and nothing else") {
  CHECK(json_string("") == R"("")");
  CHECK(json_string("a\"\\/ \x7f\xC3\xA9") == "\"a\\\"\\\\/ \x7f\xC3\xA9\"");
  CHECK(json_string("\t\n\x1f\0"s) == R"("\u0009\u000a\u001f\u0000")");
}

TEST_CASE("a number's JSON has the digits that are asked for, and null stands for what is no number") {
  CHECK(json_number(1.0 / 3.0) == "0.333333");
  CHECK(json_number(1.0 / 3.0, 2) == "0.33");
  CHECK(json_number(1234567.0) == "1.23457e+06");
  CHECK(json_number(std::nan("")) == "null");
  CHECK(json_number(-std::numeric_limits<double>::infinity()) == "null");
}

TEST_CASE("UTF-8 is what RFC 3629 says") {
  for (const char* text : {"", "a\n\"\\", "\x7f", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
                           "\xEE\x80\x80", "\xEF\xBB\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"})
    CHECK_MESSAGE(is_utf8(text), text);
  CHECK(is_utf8("a\0b"s));
  for (const char* text :
       {"\x80", "a\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x80\x80", "\xE0\x9F\xBF",
        "\xED\xA0\x80", "\xE2\x82", "\xE2\x82\"", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80", "\xFF", "\xC3\xA9\xA9"})
    CHECK_MESSAGE(!is_utf8(text), text);
}

TEST_CASE("an object's plain members are found by name, strings without their escapes") {
  CHECK(json_members("{}") == Members{});
  CHECK(json_members(R"( {"kind" : "tr\u0061in\n", "step":20,"x":-1.50e1,"y":-7,"done":true,"no":null} )") ==
        Members{{"kind", "train\n"},
                {"step", "20"},
                {"x", "-1.50e1"},
                {"y", "-7"},
                {"done", "true"},
                {"no", "null"}});
  CHECK(json_members(R"({"a":[1,"b",{"c":2}],"d":{"e":3},"f":4,"f":5})") == Members{{"f", "4"}});
  CHECK(json_members("{\"a\":" + std::string(1'000'000, '[') + std::string(1'000'000, ']') + "}") ==
        Members{});
}

TEST_CASE("text that is not one whole object has no members") {
  for (const char* text : {"", " ", "1", "\"a\"", "null", "[]", "[{\"a\":1}]", "{", "{\"a\":1", "{\"a\":1}}",
                           "{\"a\":1}{", "{\"a\":1,}", "{\"a\":1e400}", "{\"a\":\"\xC3\"}"})
    CHECK_MESSAGE(!json_members(text), text);
  CHECK(!json_members(std::string(1'000'000, '[')));
}
