#pragma once

#include <string>
#include <string_view>

namespace sma {

namespace detail {
template <class T>
constexpr std::string_view function_name() {
  return __PRETTY_FUNCTION__;
}
/// What the compiler writes before and after the type.
struct AroundType {
  std::size_t before, after;
};
constexpr AroundType around_type() {
  constexpr std::string_view text = function_name<double>();
  const std::size_t at = text.find("double");
  return {at, text.size() - at - 6};
}
}  // namespace detail

/// A type as the compiler names it, with its namespaces and all arguments.
template <class T>
constexpr std::string_view type_name() {
  constexpr detail::AroundType around = detail::around_type();
  std::string_view name = detail::function_name<T>();
  name.remove_prefix(around.before);
  name.remove_suffix(around.after);
  return name;
}

/// Such a name for people: `Linear<80, 160>` for a template, its numbers alone of its arguments, and without namespaces.
inline std::string shortened_type_name(std::string_view whole) {
  const std::size_t open = whole.find('<');
  std::string_view name = whole.substr(0, open);
  if (const std::size_t colon = name.rfind(':'); colon != std::string_view::npos)
    name.remove_prefix(colon + 1);
  std::string out(name);
  if (open == std::string_view::npos) return out;
  std::string numbers;
  std::string argument;
  int depth = 0;
  for (const char c : whole.substr(open)) {
    const bool ends = depth == 1 && (c == ',' || c == '>');
    if (c == '>') --depth;
    if (ends) {
      const std::size_t first = argument.find_first_not_of(' ');
      const std::size_t last = argument.find_last_not_of(" 0123456789l");  // 80 and 80l
      const bool is_number = first != std::string::npos &&
                             (last == std::string::npos || (argument[last] == '-' && last == first));
      if (is_number) {
        while (!argument.empty() && (argument.back() == 'l' || argument.back() == ' ')) argument.pop_back();
        numbers += (numbers.empty() ? "" : ", ") + argument.substr(first);
      }
      argument.clear();
    } else if (depth >= 1) {
      argument += c;
    }
    if (c == '<') ++depth;
  }
  return numbers.empty() ? out : out + "<" + numbers + ">";
}

}  // namespace sma
