#include <fuzz/reader.hpp>
#include <tasks/data/listops.hpp>

namespace {

const fuzz::Reader listops{
    "listops",
    [](const fuzz::Folder&) -> std::vector<std::string> {
      return {"Source\tTarget\n( ( ( [MAX 2 ) 9 ) ] )\t9\n( ( ( [MIN 4 ) 8 ) ] )\t4\n",
              "\xef\xbb\xbfSource\tTarget\r\n[SM [MED 1 2 3 ] 8 ]\t0\r\n7\t7"};
    },
    [](const fuzz::Folder& folder, std::string_view input) {
      const auto found = tasks::read_listops_file(folder.put("basic_train.tsv", input));
      for (std::size_t i = 0; i < found.size(); ++i)
        for (const std::int32_t token : found.sequence(i))
          fuzz::require(token > 0 && token < tasks::kListOpsVocabulary, "a token outside the vocabulary");
    }};

}  // namespace
