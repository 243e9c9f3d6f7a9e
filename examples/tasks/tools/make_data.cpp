/// Writes data sets that can be generated as files in their owners' format, which trainers read with --data.
///
///     make_data pathfinder --side 32 --count 200000 --seed 1 DIR
///     make_data listops --seed 1 DIR
///     make_data sheet FILE.png

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <sma/base/text.hpp>
#include <string>
#include <system_error>
#include <tasks/common/program.hpp>
#include <tasks/common/whole.hpp>
#include <tasks/data/listops.hpp>
#include <tasks/data/pathfinder.hpp>
#include <tasks/data/pathfinder_generator.hpp>
#include <tasks/data/png.hpp>

namespace {

void make_directory(const std::string& path) {
  std::error_code code;
  std::filesystem::create_directories(path, code);
  if (code) throw sma::Error(sma::one_line(path) + ": cannot be made (" + code.message() + ")");
}

/// Pictures side by side on grey: paths in the four columns on the left, no paths on the right; of 32 x 32 pixels, four times as
/// large, above those of 128 x 128.
tasks::GreyPicture sheet(std::uint64_t seed) {
  constexpr std::size_t cell = 128, step = cell + 4, columns = 8, rows = 4;
  tasks::GreyPicture out{step * columns + 12, step * rows + 4, {}};
  out.pixels.assign(out.width * out.height, 110);
  for (const std::size_t side : {32U, 128U}) {
    std::size_t used[2] = {};
    for (std::uint64_t number = 0; used[0] < 8 || used[1] < 8; ++number) {
      const auto label = static_cast<std::size_t>(tasks::pathfinder_label(seed, number));
      if (used[label] == 8) continue;
      const std::size_t place = used[label]++;
      const std::size_t left = 4 + (place % 4) * step + (label == 1 ? 0 : 4 * step + 8);
      const std::size_t top = 4 + (place / 4 + (side == 32 ? 0 : 2)) * step;
      const auto picture = tasks::draw_pathfinder(side, seed, number);
      for (std::size_t y = 0; y < cell; ++y)
        for (std::size_t x = 0; x < cell; ++x)
          out.pixels[(top + y) * out.width + left + x] =
              picture.pixels[y * side / cell * side + x * side / cell];
    }
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes data sets that can be generated, in their owners' format.", "make_data");
  app.require_subcommand(1);
  std::uint64_t seed = 1, count = 200000;
  std::size_t side = 32;
  int dashes = tasks::benchmark_dashes;
  std::string path;
  const auto add = [&](const char* name, const char* what, const char* where) {
    CLI::App* command = app.add_subcommand(name, what);
    command->add_option("--seed", seed, "of what is drawn")
        ->transform(tasks::whole<std::uint64_t>(0, UINT64_MAX))
        ->capture_default_str();
    command->add_option(where, path, "where it is written")->required()->check([](const std::string& text) {
      return text.empty() ? std::string("found an empty text, expected a path") : std::string();
    });
    return command;
  };
  CLI::App* pathfinder =
      add("pathfinder", "DIR/curv_contour_length_14: Pathfinder, or Path-X with --side 128", "DIR");
  pathfinder->add_option("--side", side, "pixels")->check(CLI::IsMember({32, 128}))->capture_default_str();
  pathfinder->add_option("--count", count, "pictures; of ten the ninth validates, the tenth tests")
      ->transform(tasks::whole<std::uint64_t>(10, 10000000))
      ->capture_default_str();
  pathfinder
      ->add_option("--dashes", dashes,
                   "of a long contour; with another number than 14 the directory has that name")
      ->check(CLI::Range(tasks::least_dashes, tasks::benchmark_dashes))
      ->capture_default_str();
  const CLI::App* listops =
      add("listops", "DIR/basic_{train,val,test}.tsv: 96,000 / 2,000 / 2,000 expressions", "DIR");
  const CLI::App* pictures = add("sheet", "some pictures of Pathfinder and Path-X on one sheet", "FILE");
  return tasks::run_program(app, argc, argv, [&] {
    if (pathfinder->parsed()) {
      make_directory(path);
      tasks::write_pathfinder(path, side, seed, count, dashes);
    } else if (listops->parsed()) {
      make_directory(path);
      tasks::write_listops(tasks::generate_listops(seed), path);
    } else if (pictures->parsed()) {
      tasks::write_png(path, sheet(seed));
    }
  });
}
