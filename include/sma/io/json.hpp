#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

/// The JSON that the library writes and reads: headers of tensor files, lines of logs.
namespace sma::detail {

/// Whether `text` is UTF-8 (RFC 3629).
[[nodiscard]] bool is_utf8(std::string_view text);

/// `text`, which is UTF-8, as a JSON string; everything that need not be escaped stands as it is.
[[nodiscard]] std::string json_string(std::string_view text);

/// `value` with `digits` significant digits, as printf's %g writes it; JSON has no NaN and no infinity: "null".
[[nodiscard]] std::string json_number(double value, int digits = 6);

/// The strings, numbers and words among the members of the JSON object that `text` is: strings as what they stand for, all else as it is
/// written. Of two members of one name the first. Nothing when `text` is not a whole JSON object.
[[nodiscard]] std::optional<std::map<std::string, std::string, std::less<>>> json_members(
    std::string_view text);

}  // namespace sma::detail

#if !defined(SMA_IO_COMPILED)
#include <sma/io/json-inl.hpp>
#endif
