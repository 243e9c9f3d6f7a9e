#include <fuzz/reader.hpp>
#include <tasks/data/imdb.hpp>

namespace {

/// The second part names one more file.
const fuzz::Reader imdb{"imdb",
                        [](const fuzz::Folder&) -> std::vector<std::string> {
                          return {"A delight.<br />", fuzz::joined({"A bore, \xe9h.", "11_4.txt"}),
                                  fuzz::joined({"No more", "a\n.txt"})};
                        },
                        [](const fuzz::Folder& folder, std::string_view input) {
                          for (const char* place : {"train/pos/0", "train/neg/", "test/pos/0", "test/neg/0"})
                            for (int i = 0; i < (place[9] == '/' ? 10 : 1); ++i)
                              folder.keep(place + std::to_string(i) + ".txt", "A film.");
                          const auto files = fuzz::parts(input, 2);
                          const std::string name(files[1].substr(0, 40));
                          const bool is_name =
                              !name.empty() && name[0] != '.' &&
                              name.find_first_of(std::string_view("/\0", 2)) == std::string::npos;
                          const std::string other = "train/pos/" + name;
                          folder.put("train/neg/3.txt", files[0]);
                          if (is_name) folder.put(other, files[0]);
                          struct Removed {
                            const fuzz::Folder& folder;
                            const std::string& name;
                            bool is_there;
                            ~Removed() {
                              if (is_there) folder.remove(name);
                            }
                          } const removed{folder, other, is_name};
                          tasks::read_imdb(folder.path(), 100);
                        }};

}  // namespace
