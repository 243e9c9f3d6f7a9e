#include <fuzz/reader.hpp>
#include <tasks/data/aan.hpp>

namespace {

const fuzz::Reader aan{"aan",
                       [](const fuzz::Folder&) -> std::vector<std::string> {
                         return {"1.0\tP01\tW01\tWe parse trees.\tWe tag words, too.\n0\tP\tW\ta\tb\n",
                                 "\xef\xbb\xbf"
                                 "0.0\t\t\t\xe9\xff\t\x01\r\n1\ta\tb\tc\td"};
                       },
                       [](const fuzz::Folder& folder, std::string_view input) {
                         for (const char* split : {"train", "test"})
                           folder.keep("new_aan_pairs." + std::string(split) + ".tsv", "1\ta\tb\tc\td\n");
                         folder.put("new_aan_pairs.eval.tsv", input);
                         tasks::read_aan(folder.path(), 100);
                       }};

}  // namespace
