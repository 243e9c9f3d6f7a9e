#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <sma/base/error.hpp>
#include <sma/io/safetensors.hpp>
#include <support/files.hpp>

namespace {

using files::content_of;
using files::Directory;
using files::message_of;
using files::put;
namespace fs = std::filesystem;
using Shape = std::vector<std::int64_t>;
using namespace std::string_literals;

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// A file's bytes from a header and data, with the header's true length.
std::string assemble(const std::string& header, const std::string& data) {
  return bytes_of(std::vector<std::uint64_t>{header.size()}) + header + data;
}

/// Opens a file of these bytes.
sma::SafetensorsFile open_bytes(const Directory& directory, const std::string& bytes) {
  put(directory.file("f"), bytes);
  return sma::SafetensorsFile::open(directory.file("f"));
}

/// Opening these bytes must fail with one line that begins with the path and holds all parts in order.
void check_refused(const std::string& bytes, const std::vector<std::string>& parts) {
  const Directory directory;
  const std::string message = message_of([&] { open_bytes(directory, bytes); });
  INFO(message);
  CHECK(message.starts_with(directory.file("f") + ": "));
  CHECK(message.find('\n') == std::string::npos);
  std::size_t at = 0;
  for (const std::string& part : parts) {
    INFO(part);
    at = message.find(part, at);
    REQUIRE(at != std::string::npos);
    at += part.size();
  }
}

/// As check_refused, of a header over `size` zero bytes of data.
void check_header_refused(const std::string& header, std::size_t size,
                          const std::vector<std::string>& parts) {
  check_refused(assemble(header, std::string(size, '\0')), parts);
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}";
}

template <class T>
void check_round_trip(sma::DType dtype, const char* name, const std::vector<T>& values) {
  const Directory directory;
  const auto count = static_cast<std::int64_t>(values.size());
  const std::string bytes = bytes_of(values);
  sma::SafetensorsWriter writer;
  writer.add("values", {count}, values.data());
  writer.write(directory.file("written"));
  const std::string range = "[1," + std::to_string(bytes.size() + 1) + "]";
  put(directory.file("unaligned"),
      assemble("{" + tensor("byte", "U8", "[1]", "[0,1]") + "," +
                   tensor("values", name, "[" + std::to_string(count) + "]", range) + "}",
               "\x01" + bytes));
  for (const char* which : {"written", "unaligned"}) {
    const auto file = sma::SafetensorsFile::open(directory.file(which));
    CHECK(file.info("values").dtype == dtype);
    CHECK(file.read<T>("values") == values);
    std::vector<T> into(values.size());
    file.read_into("values", into.data(), {count});
    CHECK(into == values);
  }
}

template <class T>
std::vector<T> limits() {
  return {std::numeric_limits<T>::lowest(), T{0}, T{1}, T{42}, std::numeric_limits<T>::max()};
}

/// A valid file with metadata, escapes, several dtypes, an empty tensor and a scalar.
std::string valid_bytes(const Directory& directory) {
  const std::vector<float> weight = {1, 2, 3, 4, 5, 6};
  const std::vector<double> moment = {0.5, -0.5};
  const std::int64_t step = 7;
  sma::SafetensorsWriter writer;
  writer.metadata("kind", "classifier");
  writer.metadata("quote \" slash \\ line \n", "\xC3\xA9");
  writer.add("encoder.weight", {2, 3}, weight.data());
  writer.add("empty", {0, 4}, static_cast<const float*>(nullptr));
  writer.add("moment", {2}, moment.data());
  writer.add("step", {}, &step);
  writer.write(directory.file("valid"));
  return content_of(directory.file("valid"));
}

/// Reads all that a valid file offers; hostile files may throw anywhere, but only Error.
void read_everything(const sma::SafetensorsFile& file) {
  for (const std::string& name : file.names()) {
    static_cast<void>(file.bytes(name));
    static_cast<void>(message_of([&] { static_cast<void>(file.read<double>(name)); }));
    static_cast<void>(message_of([&] { static_cast<void>(file.read<std::int16_t>(name)); }));
  }
}

}  // namespace

TEST_CASE("every dtype that is written reads back equal, from any alignment") {
  check_round_trip(sma::DType::U8, "U8", limits<std::uint8_t>());
  check_round_trip(sma::DType::I8, "I8", limits<std::int8_t>());
  check_round_trip(sma::DType::I16, "I16", limits<std::int16_t>());
  check_round_trip(sma::DType::U16, "U16", limits<std::uint16_t>());
  check_round_trip(sma::DType::I32, "I32", limits<std::int32_t>());
  check_round_trip(sma::DType::U32, "U32", limits<std::uint32_t>());
  check_round_trip(sma::DType::I64, "I64", limits<std::int64_t>());
  check_round_trip(sma::DType::I64, "I64", limits<long long>());
  check_round_trip(sma::DType::U64, "U64", limits<std::uint64_t>());
  check_round_trip(sma::DType::F32, "F32", limits<float>());
  check_round_trip(sma::DType::F64, "F64", limits<double>());
}

TEST_CASE("bool tensors read back as bool and as numbers") {
  const Directory directory;
  const bool flags[] = {true, false, true};
  sma::SafetensorsWriter writer;
  writer.add("flags", {3}, flags);
  writer.write(directory.file("f"));
  const auto file = sma::SafetensorsFile::open(directory.file("f"));
  CHECK(file.info("flags").dtype == sma::DType::Bool);
  bool into[3] = {};
  file.read_into("flags", into, {3});
  CHECK(std::equal(into, into + 3, flags));
  CHECK(file.read<std::uint8_t>("flags") == std::vector<std::uint8_t>{1, 0, 1});
  CHECK(file.read<float>("flags") == std::vector<float>{1, 0, 1});
}

TEST_CASE("F16 and BF16 read as the numbers that they encode") {
  const Directory directory;
  const std::vector<std::uint16_t> halves = {0x0000, 0x8000, 0x3C00, 0xC000, 0x7BFF,
                                             0x0400, 0x0001, 0x83FF, 0x7C00, 0x7E00};
  const std::vector<std::uint16_t> brains = {0x0000, 0x3F80, 0xC000, 0x7F80, 0x3DCD};
  sma::SafetensorsWriter writer;
  writer.add("half", sma::DType::F16, {10}, halves.data());
  writer.add("brain", sma::DType::BF16, {5}, brains.data());
  writer.write(directory.file("f"));
  const auto file = sma::SafetensorsFile::open(directory.file("f"));
  const std::vector<double> half = file.read<double>("half");
  CHECK(std::signbit(half[1]));
  CHECK(std::isnan(half[9]));
  CHECK(std::vector<double>(half.begin(), half.begin() + 9) ==
        std::vector<double>{0, 0, 1, -2, 65504, 0x1p-14, 0x1p-24, -1023 * 0x1p-24,
                            std::numeric_limits<double>::infinity()});
  CHECK(file.read<float>("brain") ==
        std::vector<float>{0, 1, -2, std::numeric_limits<float>::infinity(), 0.10009765625F});
  CHECK(message_of([&] { static_cast<void>(file.read<int>("half")); }).find("found 65504") ==
        std::string::npos);
}

TEST_CASE("empty, zero-size and scalar tensors are ordinary") {
  const Directory directory;
  const std::string path = directory.file("f");
  sma::SafetensorsWriter().write(path);
  CHECK(content_of(path) == assemble("{}      ", ""));
  CHECK(sma::SafetensorsFile::open(path).names().empty());
  CHECK(open_bytes(directory, assemble("{}", "")).metadata().empty());

  const double scalar = 0.25;
  sma::SafetensorsWriter writer;
  writer.add("nothing", {0}, static_cast<const float*>(nullptr));
  writer.add("", {}, &scalar);
  writer.add("no rows", {0, 1 << 30, 1 << 30}, static_cast<const bool*>(nullptr));
  writer.write(path);
  const auto file = sma::SafetensorsFile::open(path);
  CHECK(file.names() == std::vector<std::string>{"", "nothing", "no rows"});
  CHECK(file.read<float>("nothing").empty());
  CHECK(file.read<float>("no rows").empty());
  CHECK(file.info("no rows").shape == Shape{0, 1 << 30, 1 << 30});
  CHECK(file.info("").shape.empty());
  CHECK(file.info("").count() == 1);
  float value = 0;
  file.read_into("", &value, {});
  CHECK(value == 0.25F);
}

TEST_CASE("the writer's bytes are exactly these, and equal input gives equal bytes") {
  const Directory directory;
  const auto write = [&](const std::string& name) {
    const std::vector<float> values = {1.5F, -2};
    const std::uint8_t byte = 9;
    const double number = 0.5;
    sma::SafetensorsWriter writer;
    writer.metadata("b", "2");
    writer.metadata("a", "old");
    writer.add("a", {}, &byte);
    writer.add("w\t\"\\\xC3\xA9", {1, 2}, values.data());
    writer.metadata("a", "1");
    writer.add("x", {1}, &number);
    writer.write(directory.file(name));
    return content_of(directory.file(name));
  };
  const std::string header =
      R"({"__metadata__":{"a":"1","b":"2"},"x":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"w\u0009\"\\)"
      "\xC3\xA9"
      R"(":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},"a":{"dtype":"U8","shape":[],"data_offsets":[16,17]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  const std::string bytes = write("f");
  CHECK(bytes == assemble(padded, bytes_of(std::vector<double>{0.5}) +
                                      bytes_of(std::vector<float>{1.5F, -2}) + "\x09"));
  CHECK(write("g") == bytes);
  CHECK(directory.names().size() == 2);
}

TEST_CASE(
    "each tensor that the writer writes lies at a multiple of its element's size, equals in the order of "
    "add") {
  const Directory directory;
  const std::vector<std::byte> data(64);
  sma::SafetensorsWriter writer;
  writer.add("flag", sma::DType::Bool, {3}, data.data());
  writer.add("f4", sma::DType::F4, {2}, data.data());
  writer.add("half", sma::DType::F16, {1}, data.data());
  writer.add("step", sma::DType::I64, {1}, data.data());
  writer.add("byte", sma::DType::U8, {1}, data.data());
  writer.add("weight", sma::DType::F32, {3}, data.data());
  writer.add("number", sma::DType::F64, {2}, data.data());
  writer.add("bias", sma::DType::F32, {1}, data.data());
  writer.write(directory.file("f"));
  const auto file = sma::SafetensorsFile::open(directory.file("f"));
  CHECK(file.names() ==
        std::vector<std::string>{"step", "number", "weight", "bias", "half", "flag", "byte", "f4"});
  std::uint64_t header = 0;
  const std::string content = content_of(directory.file("f"));
  std::memcpy(&header, content.data(), sizeof header);
  CHECK(header % 8 == 0);
  for (const char* name : {"step", "number"}) CHECK(file.info(name).begin % 8 == 0);
  for (const char* name : {"weight", "bias"}) CHECK(file.info(name).begin % 4 == 0);
  CHECK(file.info("half").begin % 2 == 0);
}

TEST_CASE("names and metadata survive any UTF-8 text") {
  const Directory directory;
  const std::string text =
      "\x01\x1F\x7F\"\\/\b\f\n\r\t \xC3\xA9 \xE2\x82\xAC \xF0\x9D\x84\x9E"s + '\0' + "end";
  const float value = 1;
  sma::SafetensorsWriter writer;
  writer.metadata(text, text);
  writer.add(text, {}, &value);
  writer.write(directory.file("f"));
  const auto file = sma::SafetensorsFile::open(directory.file("f"));
  CHECK(file.names() == std::vector<std::string>{text});
  CHECK(file.contains(text));
  CHECK(file.metadata().at(text) == text);
}

TEST_CASE("every JSON escape is understood") {
  const Directory directory;
  const auto file = open_bytes(
      directory, assemble(R"({"__metadata__":{"k":"\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\uD834\uDD1E"} , )"
                          "\r\n\t"
                          R"("\u0061":
                 {"data_offsets" : [ 0 , 1 ], "shape":[ ],"dtype":"\u00558"} } )",
                          "x"));
  CHECK(file.metadata().at("k") == "\"\\/\b\f\n\r\tA\xC3\xA9\xE2\x82\xAC\xF0\x9D\x84\x9E");
  CHECK(file.read<int>("a") == std::vector<int>{'x'});
}

TEST_CASE("a copy outlives its original, and tensors may lie in another order than the header's") {
  const Directory directory;
  const auto copy = [&] {
    const auto file = open_bytes(directory, assemble("{" + tensor("b", "U8", "[2]", "[1,3]") + "," +
                                                         tensor("a", "U8", "[1]", "[0,1]") + "}",
                                                     "abc"));
    return sma::SafetensorsFile(file);
  }();
  CHECK(copy.names() == std::vector<std::string>{"b", "a"});
  CHECK(copy.read<int>("b") == std::vector<int>{'b', 'c'});
  CHECK(copy.read<int>("a") == std::vector<int>{'a'});
}

TEST_CASE("reading converts between dtypes and refuses what does not fit") {
  const Directory directory;
  const std::vector<double> values = {1, -2, 300, 0.5, 1e30, std::nan("")};
  const std::vector<std::uint64_t> large = {std::numeric_limits<std::uint64_t>::max()};
  const std::vector<double> edge = {0x1p63};
  const std::vector<double> lowest = {-0x1p63};
  const std::uint8_t two = 2;
  sma::SafetensorsWriter writer;
  for (std::size_t i = 0; i < values.size(); ++i) writer.add("v" + std::to_string(i), {}, &values[i]);
  writer.add("large", {1}, large.data());
  writer.add("edge", {1}, edge.data());
  writer.add("lowest", {1}, lowest.data());
  writer.add("two", sma::DType::Bool, {}, &two);
  writer.write(directory.file("f"));
  const auto file = sma::SafetensorsFile::open(directory.file("f"));

  CHECK(file.read<float>("v3") == std::vector<float>{0.5F});
  CHECK(std::isnan(file.read<float>("v5").at(0)));
  CHECK(file.read<std::int8_t>("v1") == std::vector<std::int8_t>{-2});
  CHECK(file.read<std::uint64_t>("large") == large);
  CHECK(file.read<double>("large") == std::vector<double>{0x1p64});
  CHECK(file.read<std::int64_t>("lowest") ==
        std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::min()});
  CHECK(file.read<std::uint64_t>("edge") == std::vector<std::uint64_t>{std::uint64_t{1} << 63});

  const auto check = [&](const std::string& message, const std::string& expected) {
    CHECK(message == directory.file("f") + ": tensor " + expected);
  };
  check(message_of([&] { static_cast<void>(file.read<std::uint8_t>("v1")); }),
        "'v1': found -2 at element 0 of F64, expected a value that U8 holds exactly");
  check(message_of([&] { static_cast<void>(file.read<std::uint8_t>("v2")); }),
        "'v2': found 300 at element 0 of F64, expected a value that U8 holds exactly");
  check(message_of([&] { static_cast<void>(file.read<int>("v3")); }),
        "'v3': found 0.5 at element 0 of F64, expected a value that I32 holds exactly");
  check(message_of([&] { static_cast<void>(file.read<std::int64_t>("v4")); }),
        "'v4': found 1e+30 at element 0 of F64, expected a value that I64 holds exactly");
  CHECK(message_of([&] { static_cast<void>(file.read<std::int64_t>("v5")); }).find("found nan") !=
        std::string::npos);
  check(message_of([&] { static_cast<void>(file.read<std::int64_t>("large")); }),
        "'large': found 18446744073709551615 at element 0 of U64, expected a value that I64 holds exactly");
  CHECK(message_of([&] { static_cast<void>(file.read<std::int64_t>("edge")); }).find("'edge'") !=
        std::string::npos);
  check(message_of([&] { static_cast<void>(file.read<float>("two")); }),
        "'two': found 2 at element 0 of BOOL, expected 0 or 1, which F32 holds exactly");
  bool flag = false;
  check(message_of([&] { file.read_into("v2", &flag, {}); }),
        "'v2': found 300 at element 0 of F64, expected a value that BOOL holds exactly");
}

TEST_CASE("a shape that differs is an error with both shapes") {
  const Directory directory;
  valid_bytes(directory);
  const auto file = sma::SafetensorsFile::open(directory.file("valid"));
  std::vector<float> into(6);
  CHECK(message_of([&] {
          file.read_into("encoder.weight", into.data(), {3, 2});
        }) == directory.file("valid") +
                  ": tensor 'encoder.weight': found shape [2, 3] of F32, expected shape [3, 2]");
  CHECK(
      message_of([&] { file.read_into("encoder.weight", into.data(), {}); }).ends_with("expected shape []"));
}

TEST_CASE("a tensor that is not there is an error with its name") {
  const Directory directory;
  valid_bytes(directory);
  const auto file = sma::SafetensorsFile::open(directory.file("valid"));
  CHECK(!file.contains("absent\n"));
  CHECK(message_of([&] { static_cast<void>(file.read<float>("absent\n")); }) ==
        directory.file("valid") +
            ": tensor 'absent\\x0a': found no tensor of this name, expected it among the file's 4");
}

TEST_CASE("a file that cannot be mapped is an error") {
  const Directory directory;
  const std::string path = directory.file("absent");
  CHECK(message_of([&] { sma::SafetensorsFile::open(path); }) ==
        path + ": open failed: No such file or directory");
  CHECK(message_of([&] { sma::SafetensorsFile::open("/dev/zero"); }) ==
        "/dev/zero: found a directory or device, expected a safetensors file");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  CHECK(message_of([&] { sma::SafetensorsFile::open(path); }).ends_with("expected a safetensors file"));
}

TEST_CASE("a header length that cannot be is refused") {
  check_refused("", {"found a file of 0 bytes", "expected at least 8"});
  check_refused("1234567", {"found a file of 7 bytes", "expected at least 8"});
  check_refused(std::string(8, '\0'), {"header byte 0", "found the header's end", "expected '{'"});
  check_refused(std::string(8, '\xFF') + "{}",
                {"found a header length of 18446744073709551615", "at most 100000000"});
  check_refused(bytes_of(std::vector<std::uint64_t>{100'000'001}) + "{}",
                {"100000001", "expected at most 100000000"});
  check_refused(bytes_of(std::vector<std::uint64_t>{3}) + "{}",
                {"found a header length of 3 bytes", "expected at most the 2 bytes that the file holds"});
}

TEST_CASE("a header that is not the JSON of the format is refused") {
  check_header_refused(" ", 0, {"header byte 1", "found the header's end", "expected '{'"});
  check_header_refused("\f{}", 0, {"header byte 0", "found byte 0x0c", "expected '{'"});
  check_header_refused("[]", 0, {"found '['", "expected '{'"});
  check_header_refused("{", 0, {"found the header's end", "expected a string"});
  check_header_refused("{} x", 0, {"header byte 3", "found 'x'", "expected nothing but white space after"});
  check_header_refused("{}{}", 0, {"header byte 2", "found '{'", "expected nothing but white space after"});
  check_header_refused("{}\0"s, 0, {"found byte 0x00", "white space"});
  check_header_refused(R"({"a")", 0, {"found the header's end", "expected ':'"});
  check_header_refused(R"({"a)", 0,
                       {"found the header's end", "expected a valid string (missing closing quote)"});
  check_header_refused(R"({"a":1})", 0, {"tensor 'a'", "found '1'", "expected '{'"});
  check_header_refused("{" + tensor("a", "U8", "[]", "[0,1]") + ",}", 1, {"found '}'", "expected a string"});
  check_header_refused("{" + tensor("a", "U8", "[]", "[0,1]"), 1,
                       {"found the header's end", "expected ',' or '}'"});
  check_header_refused("{" + tensor("a", "U8", "[1,]", "[0,1]") + "}", 1,
                       {"tensor 'a'", "found ']'", "an integer"});
  check_header_refused("{" + tensor("a", "U8", "[1", "[0,1]") + "}", 1, {"tensor 'a'", "found '\"'"});
}

TEST_CASE("strings that are not valid JSON or UTF-8 are refused") {
  for (const char* bad : {"\x80", "\xC0\x80", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xE2\x82",
                          "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"})
    check_header_refused(
        "{\"a" + std::string(bad) + "\":{}}", 0,
        {"header byte 3", "found byte 0x", "expected a valid string (ill-formed UTF-8 byte)"});
  check_header_refused(
      "{\"a\n\":{}}", 0,
      {"header byte 3", "found byte 0x0a", "(control character U+000A (LF) must be escaped"});
  check_header_refused("{\"\xC3\xA9\n\":{}}", 0, {"header byte 4", "found byte 0x0a"});
  check_header_refused("{\"\xC3\xA9\xA9\":{}}", 0, {"header byte 4", "found byte 0xa9", "ill-formed UTF-8"});
  check_header_refused(R"({"\x41":{}})", 0, {"found 'x'", "(forbidden character after backslash)"});
  check_header_refused(R"({"\u00g1":{}})", 0, {"found 'g'", "must be followed by 4 hex digits)"});
  check_header_refused(R"({"\u00)", 0, {"found the header's end", "must be followed by 4 hex digits)"});
  check_header_refused(R"({"\)", 0, {"found the header's end", "(forbidden character after backslash)"});
  const std::string high = "(surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF)";
  check_header_refused(R"({"\uD834":{}})", 0, {"header byte 8", "found '\"'", high});
  check_header_refused(R"({"\uD834\u0041":{}})", 0, {"header byte 13", "found '1'", high});
  check_header_refused(
      R"({"\uDD1E":{}})", 0,
      {"header byte 7", "found 'E'", "(surrogate U+DC00..U+DFFF must follow U+D800..U+DBFF)"});
}

TEST_CASE("what stands twice is refused") {
  const std::string a = tensor("a", "U8", "[1]", "[0,1]");
  check_header_refused("{" + a + "," + a + "}", 1,
                       {"tensor 'a'", "found a second tensor of this name", "expected one"});
  check_header_refused("{" + a + "," + tensor("\\u0061", "U8", "[1]", "[1,2]") + "}", 2,
                       {"tensor 'a'", "second"});
  check_header_refused(R"({"__metadata__":{},"__metadata__":{}})", 0,
                       {"found a second '__metadata__'", "expected one"});
  check_header_refused(R"({"__metadata__":{"k":"1","k":"2"}})", 0,
                       {"found a second metadata entry 'k'", "expected one"});
  check_header_refused(R"({"a":{"dtype":"U8","dtype":"U8"}})", 0, {"tensor 'a'", "found a second 'dtype'"});
  check_header_refused(R"({"a":{"shape":[],"shape":[]}})", 0, {"tensor 'a'", "found a second 'shape'"});
  check_header_refused(R"({"a":{"data_offsets":[0,0],"data_offsets":[0,0]}})", 0,
                       {"found a second 'data_offsets'"});
}

TEST_CASE("fields that are missing or of another type are refused") {
  check_header_refused(R"({"a":{}})", 0,
                       {"tensor 'a'", "found no 'dtype'", "expected dtype, shape and data_offsets"});
  check_header_refused(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1, {"tensor 'a'", "found no 'shape'"});
  check_header_refused(R"({"a":{"dtype":"U8","shape":[1]}})", 1, {"tensor 'a'", "found no 'data_offsets'"});
  check_header_refused(R"({"a":{"color":"red"}})", 0, {"tensor 'a'", "found no 'dtype'"});
  check_header_refused(R"({"a":{"dtype":8}})", 0, {"tensor 'a'", "found '8'", "expected a string"});
  check_header_refused(R"({"a":{"shape":3}})", 0, {"tensor 'a'", "found '3'", "expected '['"});
  check_header_refused(R"({"a":{"data_offsets":[0]}})", 0, {"tensor 'a'", "found ']'", "expected ','"});
  check_header_refused(R"({"a":{"data_offsets":[0,1,2]}})", 0,
                       {"tensor 'a'", "found ','", "']' after two offsets"});
  check_header_refused(R"({"__metadata__":nul})", 0, {"found 'n'", "expected '{'"});
  check_header_refused(R"({"__metadata__":[]})", 0, {"found '['", "expected '{'"});
  check_header_refused(R"({"__metadata__":{"k":null}})", 0, {"found 'n'", "expected a string"});
  check_header_refused(R"({"__metadata__":{"k":1}})", 0, {"found '1'", "expected a string"});
}

TEST_CASE("an unknown dtype is refused with the known ones") {
  check_header_refused("{" + tensor("a", "F8_E3M4", "[1]", "[0,1]") + "}", 1,
                       {"tensor 'a'", "found dtype 'F8_E3M4'", "expected one of BOOL, U8,", "F64", "F4"});
  check_header_refused("{" + tensor("a", "f32", "[1]", "[0,4]") + "}", 4,
                       {"tensor 'a'", "found dtype 'f32'"});
}

TEST_CASE("numbers that are not countable are refused") {
  const std::string range = "expected an integer from 0 to 9223372036854775807";
  for (const char* number :
       {"-1", "1.5", "1e3", "01", "+1", "9223372036854775808", "99999999999999999999999", "-", "-0"}) {
    const std::string text = number;
    check_header_refused("{" + tensor("a", "U8", "[" + text + "]", "[0,1]") + "}", 1,
                         {"tensor 'a'", "found " + text, range});
    check_header_refused("{" + tensor("a", "U8", "[1]", "[0," + text + "]") + "}", 1,
                         {"tensor 'a'", "found " + text, range});
  }
  check_header_refused("{" + tensor("a", "U8", "[" + std::string(1000, '9') + "]", "[0,1]") + "}", 1,
                       {"found " + std::string(40, '9') + ", expected"});
  check_header_refused("{" + tensor("a", "U8", "[true]", "[0,1]") + "}", 1,
                       {"tensor 'a'", "found 't'", range});
  for (const char* number : {"1e400", "-", "2.", "1e+"})
    check_header_refused(
        R"({"a":{"x":)" + std::string(number) + "}}", 0,
        {"tensor 'a'", "header byte 10", "found " + std::string(number) + ", expected a JSON number"});
}

TEST_CASE("shapes that overflow or end inside a byte are refused, but the product of a zero extent is 0") {
  const std::string most = "expected whole bytes, at most 9223372036854775807";
  check_header_refused("{" + tensor("a", "F64", "[2305843009213693952]", "[0,0]") + "}", 0,
                       {"tensor 'a'", "found shape [2305843009213693952] of F64", most});
  check_header_refused("{" + tensor("a", "U8", "[4294967296,4294967296]", "[0,0]") + "}", 0,
                       {"tensor 'a'", most});
  check_header_refused("{" + tensor("a", "F4", "[3]", "[0,2]") + "}", 2, {"found shape [3] of F4", most});
  const Directory directory;
  for (const char* shape : {"[0,4294967296,4294967296]", "[4294967296,4294967296,0]"}) {
    const auto file = open_bytes(directory, assemble("{" + tensor("a", "F32", shape, "[0,0]") + "}", ""));
    CHECK(file.info("a").count() == 0);
    CHECK(file.read<float>("a").empty());
  }
}

TEST_CASE("a shape may have any rank, and an error shows its first 64 extents") {
  std::string ones = "1";
  for (int i = 0; i < 999; ++i) ones += ",1";
  const Directory directory;
  const auto file =
      open_bytes(directory, assemble("{" + tensor("a", "U8", "[" + ones + "]", "[0,1]") + "}", "x"));
  CHECK(file.info("a").shape == Shape(1000, 1));
  CHECK(file.read<int>("a") == std::vector<int>{'x'});
  check_header_refused("{" + tensor("a", "U8", "[" + ones + "]", "[0,2]") + "}", 2, {"1, 1, ...] of U8"});
}

TEST_CASE("a span that does not fit the shape is refused") {
  check_header_refused(
      "{" + tensor("a", "F32", "[2,3]", "[0,20]") + "}", 20,
      {"tensor 'a'", "found data_offsets [0, 20], 20 bytes", "expected 24 bytes for shape [2, 3] of F32"});
  check_header_refused(
      "{" + tensor("a", "U8", "[1]", "[1,0]") + "}", 1,
      {"tensor 'a'", "found data_offsets [1, 0]", "expected an end that is not before the begin"});
  check_header_refused("{" + tensor("a", "U8", "[]", "[0,0]") + "}", 0,
                       {"tensor 'a'", "expected 1 bytes for shape []"});
}

TEST_CASE("tensors that overlap, leave holes or leave the file are refused") {
  const std::string a = tensor("a", "U8", "[4]", "[0,4]");
  check_header_refused(
      "{" + a + "," + tensor("b", "U8", "[4]", "[2,6]") + "}", 6,
      {"tensor 'b'", "found data from byte 2, overlapping tensor 'a'", "expected data from byte 4"});
  check_header_refused("{" + a + "," + tensor("b", "U8", "[4]", "[0,4]") + "}", 4,
                       {"tensor 'b'", "overlapping tensor 'a'"});
  check_header_refused("{" + a + "," + tensor("b", "U8", "[0]", "[2,2]") + "}", 4,
                       {"tensor 'b'", "overlapping tensor 'a'"});
  check_header_refused(
      "{" + a + "," + tensor("b", "U8", "[4]", "[5,9]") + "}", 9,
      {"tensor 'b'", "found data from byte 5, a hole before it", "expected data from byte 4"});
  check_header_refused("{" + tensor("a", "U8", "[1]", "[1,2]") + "}", 2,
                       {"tensor 'a'", "a hole before it", "byte 0"});
  check_header_refused("{" + a + "}", 3,
                       {"tensor 'a'", "found data up to byte 4", "at most the 3 bytes of data"});
  check_header_refused("{" + tensor("a", "U8", "[9223372036854775807]", "[0,9223372036854775807]") + "}", 3,
                       {"tensor 'a'", "found data up to byte 9223372036854775807", "at most the 3 bytes"});
  check_header_refused("{" + a + "}", 5,
                       {"found 5 bytes of data", "expected 4 bytes, the end of the last tensor"});
  check_header_refused("{}", 1, {"found 1 bytes of data", "expected 0 bytes"});
}

TEST_CASE("deep nesting is refused without recursion") {
  const std::string deep(1'000'000, '[');
  check_header_refused(R"({"a":{"shape":)" + deep + "}}", 0,
                       {"tensor 'a'", "found '['", "expected an integer"});
  check_header_refused(R"({"a":)" + deep, 0, {"tensor 'a'", "found '['", "expected '{'"});
  check_header_refused(R"({"a":{"x":)" + deep, 0,
                       {"tensor 'a'", "header byte 136", "found a deeper value", "at most 127 levels"});
  std::string objects;
  for (int i = 0; i < 200'000; ++i) objects += R"({"a":)";
  check_header_refused(objects, 0, {"tensor 'a'", "found a deeper value", "at most 127 levels"});
}

TEST_CASE("hostile names stay on one line and are cut between characters") {
  check_header_refused("{" + tensor("a\\n\\u0000\\u001b[2J", "X", "[]", "[0,1]") + "}", 1,
                       {"tensor 'a\\x0a\\x00\\x1b[2J'", "found dtype 'X'"});
  std::string name = "x";
  for (int i = 0; i < 100'000; ++i) name += "\xC3\xA9";
  check_header_refused("{\"" + name + "\":1}", 0, {"tensor '" + name.substr(0, 199) + "...'", "found '1'"});
}

TEST_CASE("a tensor of a dtype without a C++ type is read as bytes, and its neighbours as numbers") {
  struct Exotic {
    const char* name;
    sma::DType dtype;
    std::int64_t count;
    std::size_t bytes;
  };
  for (const Exotic& e :
       {Exotic{"C64", sma::DType::C64, 1, 8}, Exotic{"F8_E4M3", sma::DType::F8_E4M3, 3, 3},
        Exotic{"F8_E5M2", sma::DType::F8_E5M2, 1, 1}, Exotic{"F8_E8M0", sma::DType::F8_E8M0, 1, 1},
        Exotic{"F8_E4M3FNUZ", sma::DType::F8_E4M3FNUZ, 1, 1},
        Exotic{"F8_E5M2FNUZ", sma::DType::F8_E5M2FNUZ, 1, 1}, Exotic{"F6_E2M3", sma::DType::F6_E2M3, 4, 3},
        Exotic{"F6_E3M2", sma::DType::F6_E3M2, 8, 6}, Exotic{"F4", sma::DType::F4, 6, 3},
        Exotic{"F4", sma::DType::F4, 0, 0}}) {
    CAPTURE(e.name);
    const Directory directory;
    const std::string data = std::string("exoticity").substr(0, e.bytes);
    const std::string end = std::to_string(4 + e.bytes);
    const auto file = open_bytes(
        directory,
        assemble("{" + tensor("w", "F32", "[1]", "[0,4]") + "," +
                     tensor("q", e.name, "[" + std::to_string(e.count) + "]", "[4," + end + "]") + "}",
                 bytes_of(std::vector<float>{0.5F}) + data));
    CHECK(file.read<float>("w") == std::vector<float>{0.5F});
    CHECK(file.info("q").dtype == e.dtype);
    CHECK(file.info("q").count() == static_cast<std::size_t>(e.count));
    const auto bytes = file.bytes("q");
    CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == data);
    CHECK(message_of([&] { static_cast<void>(file.read<float>("q")); }) ==
          directory.file("f") + ": tensor 'q': found dtype " + e.name +
              ", expected one that converts to F32 (this one is read as bytes alone)");

    sma::SafetensorsWriter writer;
    writer.add("q", e.dtype, {e.count}, data.data());
    writer.write(directory.file("g"));
    CHECK(sma::SafetensorsFile::open(directory.file("g")).info("q").shape == Shape{e.count});
  }
}

TEST_CASE("files are read and refused as Python's safetensors 0.8.0 does, but for a few") {
  enum Readers { both, neither, ours, theirs };
  struct Row {
    std::string header;
    std::size_t bytes;  // of data, all zero
    Readers readers;
  };
  const auto one = [](const std::string& fields) { return R"({"a":{)" + fields + "}}"; };
  const auto f32 = [&](const std::string& more) {
    return one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])" + more);
  };
  const auto of = [&](const std::string& dtype, const std::string& shape, int end) {
    return "{" + tensor("a", dtype, shape, "[0," + std::to_string(end) + "]") + "}";
  };
  const auto nested = [&](const std::string& open, const std::string& close, int depth) {
    std::string value = "1";
    for (int i = 0; i < depth; ++i) value = open + value + close;
    return f32(R"(,"x":)" + value);
  };
  const std::string u8 = tensor("a", "U8", "[1]", "[0,1]");
  std::string ones = "1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  const std::vector<Row> rows = {
      // white space
      {"{}", 0, both},
      {"\t\n{}\r ", 0, both},
      {"", 0, neither},
      {" ", 0, neither},
      {"\f{}", 0, neither},
      {"\xEF\xBB\xBF{}", 0, neither},
      {"{}\0"s, 0, neither},
      {"{} x", 0, neither},
      // dtypes
      {of("BOOL", "[1]", 1), 1, both},
      {of("C64", "[1]", 8), 8, both},
      {of("F8_E4M3", "[1]", 1), 1, both},
      {of("F8_E5M2", "[1]", 1), 1, both},
      {of("F8_E8M0", "[1]", 1), 1, both},
      {of("F8_E4M3FNUZ", "[1]", 1), 1, both},
      {of("F8_E5M2FNUZ", "[1]", 1), 1, both},
      {of("F6_E2M3", "[4]", 3), 3, both},
      {of("F6_E3M2", "[2,2]", 3), 3, both},
      {of("F4", "[2]", 1), 1, both},
      {of("F4", "[0]", 0), 0, both},
      {of("F4", "[]", 1), 1, neither},
      {of("F4", "[3]", 1), 1, neither},
      {of("F4", "[3]", 2), 2, neither},
      {of("F6_E2M3", "[2]", 2), 2, neither},
      {of("F8_E3M4", "[1]", 1), 1, neither},
      {of("C128", "[1]", 16), 16, neither},
      {of("f32", "[1]", 4), 4, neither},
      {one(R"("dtype":{"F32":null},"shape":[1],"data_offsets":[0,4])"), 4, theirs},
      // unknown fields
      {f32(R"(,"color":"red")"), 4, both},
      {one(R"("color":1,"dtype":"F32","shape":[1],"data_offsets":[0,4])"), 4, both},
      {f32(R"(,"x":{"dtype":[1,-2.5e+3,true,false,null,{"a":[], "b" : { } }]})"), 4, both},
      {f32(R"(,"x":1,"x":{"a":1,"a":2})"), 4, both},
      {nested("[", "]", 125), 4, both},
      {nested("[", "]", 126), 4, neither},
      {nested("{\"a\":", "}", 125), 4, both},
      {nested("{\"a\":", "}", 126), 4, neither},
      {f32(R"(,"x":-0)"), 4, both},
      {f32(R"(,"x":1E5)"), 4, both},
      {f32(R"(,"x":-0.0e-0)"), 4, both},
      {f32(R"(,"x":123456789012345678901234567890)"), 4, both},
      {f32(R"(,"x":1e400)"), 4, neither},
      {f32(R"(,"x":01)"), 4, neither},
      {f32(R"(,"x":1.)"), 4, neither},
      {f32(R"(,"x":.5)"), 4, neither},
      {f32(R"(,"x":+1)"), 4, neither},
      {f32(R"(,"x":-)"), 4, neither},
      {f32(R"(,"x":1e)"), 4, neither},
      {f32(R"(,"x":1e+)"), 4, neither},
      {f32(R"(,"x":nul)"), 4, neither},
      {f32(R"(,"x":True)"), 4, neither},
      {f32(R"(,"x":nullx)"), 4, neither},
      {f32(R"(,"x":NaN)"), 4, neither},
      {f32(R"(,"x":"\x")"), 4, neither},
      {f32(R"(,"x":"\ud800")"), 4, neither},
      {f32(",\"x\":\"\n\""), 4, neither},
      {f32(R"(,"x":[1,])"), 4, neither},
      {f32(R"(,"x":[1 2])"), 4, neither},
      {f32(R"(,"x":[1})"), 4, neither},
      {f32(R"(,"x":{"a"})"), 4, neither},
      {f32(R"(,"x":{"a":1,})"), 4, neither},
      {f32(R"(,"x":{1:1})"), 4, neither},
      {f32(R"(,"x" 1)"), 4, neither},
      {f32(R"(,"x":)"), 4, neither},
      // metadata
      {R"({"__metadata__":null})", 0, both},
      {R"({"__metadata__" : null , )" + u8 + "}", 1, both},
      {R"({"__metadata__":{}})", 0, both},
      {R"({"\u005f_metadata__":{"k":"v"}})", 0, both},
      {R"({"__metadata__":null,"__metadata__":null})", 0, neither},
      {R"({"__metadata__":null,"__metadata__":{}})", 0, neither},
      {R"({"__metadata__":nul})", 0, neither},
      {R"({"__metadata__":[]})", 0, neither},
      {R"({"__metadata__":"x"})", 0, neither},
      {R"({"__metadata__":{"k":null}})", 0, neither},
      {R"({"__metadata__":{"k":1}})", 0, neither},
      {R"({"__metadata__":{"k":"1","k":"2"}})", 0, theirs},
      // shapes and offsets
      {of("U8", "[" + ones + "]", 1), 1, both},
      {of("F32", "[0,4294967296,4294967296]", 0), 0, both},
      {of("F32", "[9223372036854775807,0]", 0), 0, both},
      {of("F32", "[4294967296,4294967296,0]", 0), 0, ours},
      {of("F32", "[0,9223372036854775808]", 0), 0, theirs},
      {of("F32", "[0,18446744073709551616]", 0), 0, neither},
      {of("F32", "[2305843009213693952]", 0), 0, neither},
      {of("U8", "[1.0]", 1), 1, neither},
      {of("U8", "[-0]", 0), 0, neither},
      {one(R"("dtype":"U8","shape":null,"data_offsets":[0,1])"), 1, neither},
      {one(R"("dtype":"U8","shape":[1],"data_offsets":[0,1,2])"), 1, neither},
      {"{" + tensor("b", "U8", "[2]", "[1,3]") + "," + u8 + "}", 3, both},
      {"{" + tensor("b", "F64", "[1]", "[1,9]") + "," + u8 + "}", 9, both},
      {"{" + tensor("a", "U8", "[1]", "[1,2]") + "}", 2, neither},
      {"{" + u8 + "}", 2, neither},
      // what stands twice, and what is another kind of value
      {"{" + u8 + "," + u8 + "}", 1, theirs},
      {one(R"("dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1])"), 1, neither},
      {one(R"("dtype":"U8","shape":[1])"), 1, neither},
      {R"({"a":["F32",[1],[0,4]]})", 4, theirs},
      {R"({"a":null})", 0, neither},
      {"[]", 0, neither},
  };
  const Directory directory;
  for (const Row& row : rows) {
    CAPTURE(row.header);
    const std::string message =
        message_of([&] { open_bytes(directory, assemble(row.header, std::string(row.bytes, '\0'))); });
    CAPTURE(message);
    CHECK(message.empty() == (row.readers == both || row.readers == ours));
  }
}

TEST_CASE("the writer refuses what no reader would take") {
  const std::vector<float> values(4);
  sma::SafetensorsWriter writer;
  writer.add("a", {4}, values.data());
  const std::string prefix = "sma::SafetensorsWriter::add: tensor ";
  CHECK(message_of([&] { writer.add("a", {4}, values.data()); }) ==
        prefix + "'a': found a second tensor of this name, expected one");
  CHECK(message_of([&] { writer.add("__metadata__", {4}, values.data()); }) ==
        prefix + "'__metadata__': found the reserved name, expected another");
  CHECK(message_of([&] { writer.add("\xFF", {4}, values.data()); }).find("not UTF-8") != std::string::npos);
  CHECK(message_of([&] {
          writer.add("b", {2, -2}, values.data());
        }).starts_with(prefix + "'b': found shape [2, -2] of F32"));
  CHECK(message_of([&] {
          writer.add("b", {std::int64_t{1} << 62, 4}, values.data());
        }).find("2^63") != std::string::npos);
  CHECK(message_of([&] { writer.add("b", sma::DType::F6_E2M3, {2}, values.data()); }) ==
        prefix +
            "'b': found shape [2] of F6_E2M3, expected no negative extent, and whole bytes, less than 2^63");
  CHECK(message_of([&] { writer.add("b", {4}, static_cast<const float*>(nullptr)); }).find("null") !=
        std::string::npos);
  CHECK(message_of([&] { writer.metadata("k", "\xC3"); }) ==
        "sma::SafetensorsWriter::metadata: key 'k': found text that is not UTF-8, expected UTF-8");
  const Directory directory;
  writer.write(directory.file("f"));
  CHECK(sma::SafetensorsFile::open(directory.file("f")).names() == std::vector<std::string>{"a"});
}

TEST_CASE("a write that fails leaves the old file and no temporary") {
  const Directory directory;
  const std::string path = directory.file("f");
  put(path, "old");
  const std::vector<float> values(10'000);
  sma::SafetensorsWriter writer;
  writer.add("a", {100, 100}, values.data());
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit limit{4096, old.rlim_max};
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const std::string message = message_of([&] { writer.write(path); });
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, handler);
  CHECK(message.starts_with(path + ": write failed after "));
  CHECK(content_of(path) == "old");
  CHECK(directory.names().size() == 1);
}

TEST_CASE("flipped bytes and bits in the header give an error or a file, never more") {
  const Directory directory;
  const std::string valid = valid_bytes(directory);
  std::uint64_t length = 0;
  std::memcpy(&length, valid.data(), sizeof length);
  std::mt19937_64 random(1);
  int opened = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string bytes = valid;
    const std::uint64_t flips = 1 + random() % 3;
    for (std::uint64_t i = 0; i < flips; ++i) {
      const std::size_t at = random() % (8 + length);
      bytes[at] =
          static_cast<char>(random() % 2 == 0 ? random() & 0xFFU
                                              : static_cast<unsigned char>(bytes[at]) ^ (1U << random() % 8));
    }
    const std::string message = message_of([&] {
      read_everything(open_bytes(directory, bytes));
      ++opened;
    });
    const bool is_line = message.find('\n') == std::string::npos;
    CHECK(is_line);
  }
  CHECK(opened > 0);
  CHECK(opened < 4000);
}

TEST_CASE("headers of shuffled pieces give an error or a file, never more") {
  const Directory directory;
  const std::vector<std::string> pieces = {"{",
                                           "}",
                                           "[",
                                           "]",
                                           ",",
                                           ":",
                                           "\"a\"",
                                           "\"b\":",
                                           R"("dtype":"U8")",
                                           R"("shape":[1])",
                                           R"("data_offsets":[0,1])",
                                           R"("__metadata__":{)",
                                           R"("x":)",
                                           "null",
                                           "-0.5e1",
                                           "0",
                                           "9223372036854775807",
                                           "-1",
                                           "\"",
                                           "\\u",
                                           " ",
                                           tensor("a", "U8", "[]", "[0,1]")};
  std::mt19937_64 random(2);
  for (int round = 0; round < 3000; ++round) {
    std::string header = "{";
    for (std::uint64_t i = random() % 12; i > 0; --i) header += pieces[random() % pieces.size()];
    static_cast<void>(message_of([&] { read_everything(open_bytes(directory, assemble(header, "x"))); }));
  }
}

TEST_CASE("a truncated file is always refused") {
  const Directory directory;
  const std::string valid = valid_bytes(directory);
  std::mt19937_64 random(3);
  for (int round = 0; round < 2000; ++round) {
    const std::size_t size =
        round < 64 ? valid.size() - 1 - static_cast<std::size_t>(round) : random() % valid.size();
    const std::string message = message_of([&] { open_bytes(directory, valid.substr(0, size)); });
    REQUIRE(message.starts_with(directory.file("f") + ": "));
  }
}
