/// Lengths of ListOps expressions, one a line, as the Long Range Arena's generator makes them.

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <tasks/data/listops.hpp>

int main(int argc, char** argv) {
  const long count = argc == 3 ? std::atol(argv[1]) : 0;
  if (count < 1) {
    std::fprintf(stderr, "usage: %s COUNT SEED\n", argv[0]);
    return 1;
  }
  tasks::ListOpsOptions options;
  options.train = static_cast<std::size_t>(count);
  options.validation = options.test = 0;
  const auto seed = static_cast<std::uint64_t>(std::atoll(argv[2]));
  const auto train = tasks::generate_listops(seed, options).train;
  for (std::size_t i = 0; i < train.size(); ++i) std::printf("%zu\n", train.sequence(i).size());
}
