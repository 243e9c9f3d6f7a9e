#include <fuzz/reader.hpp>
#include <tasks/data/cifar.hpp>

namespace {

const fuzz::Reader cifar{"cifar",
                         [](const fuzz::Folder&) -> std::vector<std::string> {
                           const std::string record(1 + 3 * 1024, '\x05');
                           return {record, record + record, "\x1f\x8b"};
                         },
                         [](const fuzz::Folder& folder, std::string_view input) {
                           for (const char* batch : {"1", "2", "3", "4", "5"})
                             folder.keep("data_batch_" + std::string(batch) + ".bin",
                                         std::string(3073, '\x03'));
                           folder.keep("test_batch.bin", std::string(3073, '\x03'));
                           folder.put("data_batch_2.bin", input);
                           tasks::read_cifar(folder.path());
                         }};

}  // namespace
