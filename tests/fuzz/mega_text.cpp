#include <fuzz/reader.hpp>
#include <tasks/data/mega_text.hpp>

namespace {

const fuzz::Reader mega_text{"mega_text",
                             [](const fuzz::Folder&) -> std::vector<std::string> {
                               return {fuzz::joined({"0 1 2 255\n3 4 5 6\n", "9\n0\n"}),
                                       fuzz::joined({"\xef\xbb\xbf 7\t8 \r\n9 10", " 1 \r\n2\r\n\r\n"})};
                             },
                             [](const fuzz::Folder& folder, std::string_view input) {
                               for (const char* split : {"valid", "test"}) {
                                 folder.keep("input/" + std::string(split) + ".src", "1 2\n");
                                 folder.keep("label/" + std::string(split) + ".label", "3\n");
                               }
                               const auto files = fuzz::parts(input, 2);
                               folder.put("input/train.src", files[0]);
                               folder.put("label/train.label", files[1]);
                               tasks::read_mega_pictures(folder.path());
                             }};

}  // namespace
