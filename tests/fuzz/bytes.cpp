#include <fuzz/reader.hpp>
#include <tasks/data/bytes.hpp>

namespace {

using namespace std::string_literals;

const fuzz::Reader bytes{"bytes",
                         [](const fuzz::Folder&) -> std::vector<std::string> {
                           return {std::string(120, 'a') + "the of and"s, "PK\x03\x04 an archive"s,
                                   "\x1f\x8b\x08 cut short"s, "short"s};
                         },
                         [](const fuzz::Folder& folder, std::string_view input) {
                           folder.put("text", input);
                           tasks::read_bytes(folder.path("text"));
                         }};

}  // namespace
