#pragma once

#if !__has_include(<nlohmann/json.hpp>)
#error "sma/io needs nlohmann-json 3.11 or later (Debian: nlohmann-json3-dev), or seqboat::io linked"
#include <nothing>  // so that this is all that the compiler says
#endif

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace sma::detail {

/// Hears what JSON holds, in order, and takes all of it: the base of those who look for something. A handler may throw.
class JsonHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t) override { return true; }  // below 0, and -0
  bool number_unsigned(std::uint64_t) override { return true; }
  bool number_float(double, const std::string& /*text*/) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(nlohmann::json::binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(std::string&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  /// `position`: bytes read, with the one that is wrong, or one more than there are at the end.
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::json::exception&) override {
    return false;
  }
};

/// Whether `text` is one JSON value and nothing else, all of which the handler took. However deep the value is, nothing recurses.
inline bool read_json(std::string_view text, JsonHandler& handler) {
  return nlohmann::json::sax_parse(text.data(), text.data() + text.size(),
                                   static_cast<nlohmann::json_sax<nlohmann::json>*>(&handler));
}

}  // namespace sma::detail
