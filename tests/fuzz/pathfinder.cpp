#include <fuzz/reader.hpp>
#include <tasks/data/pathfinder.hpp>
#include <tasks/data/png.hpp>

namespace {

std::string picture(std::size_t side) {
  return tasks::png_text({side, side, std::vector<std::uint8_t>(side * side, 9)});
}

const fuzz::Reader pathfinder{"pathfinder",
                              [](const fuzz::Folder&) -> std::vector<std::string> {
                                return {
                                    "imgs/0 sample_0.png 0 1 1.0 6 14 5 1.5 4 1\n\nimgs/0\tsample_0.png 1 0",
                                    "imgs/0 sample_1.png 0 0\n"};
                              },
                              [](const fuzz::Folder& folder, std::string_view input) {
                                folder.keep("imgs/0/sample_0.png", picture(2));
                                folder.keep("imgs/0/sample_1.png", picture(3));
                                std::string lines;
                                for (int i = 0; i < 10; ++i) lines += "imgs/0 sample_0.png 0 1\n";
                                folder.keep("metadata/1.npy", lines);
                                folder.put("metadata/0.npy", input);
                                tasks::read_pathfinder(folder.path(), 2);
                              }};

}  // namespace
