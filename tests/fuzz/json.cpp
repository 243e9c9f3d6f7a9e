#include <fuzz/reader.hpp>
#include <sma/io/json.hpp>

namespace {

/// It throws nothing, and what it writes it reads.
const fuzz::Reader json{
    "json",
    [](const fuzz::Folder&) -> std::vector<std::string> {
      return {
          R"({"step": 12, "loss": 1.5e-3, "task": "list\u00e9\n", "done": true, "of": {"a": [1, -0, null]}})",
          "[{}]", "\xef\xbb\xbf{}"};
    },
    [](const fuzz::Folder&, std::string_view input) {
      using namespace sma::detail;
      const auto members = json_members(input);
      std::string again = "{";
      if (members)
        for (const auto& [name, value] : *members)
          again += (again.size() > 1 ? "," : "") + json_string(name) + ":" + json_string(value);
      fuzz::require(!members || json_members(again + "}") == members, "members that do not read back");
      const auto whole = json_members("{\"text\":" + json_string(input) + "}");
      fuzz::require(whole.has_value() == is_utf8(input), "UTF-8 that is no JSON, or the other way round");
      fuzz::require(!whole || whole->at("text") == input, "a text that does not read back");
    }};

}  // namespace
