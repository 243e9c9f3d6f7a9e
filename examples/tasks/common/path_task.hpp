#pragma once

#include <filesystem>
#include <tasks/common/task.hpp>
#include <tasks/data/mega_text.hpp>
#include <tasks/data/pathfinder.hpp>
#include <tasks/data/pathfinder_generator.hpp>
#include <utility>

namespace tasks {

/// What Pathfinder and Path-X share: pictures of Side x Side grey pixels, one a step; two dots are ends of one path, or not.
template <std::size_t Side>
struct PathTask {
  template <class Model>
  using Network = seqboat::Classifier<Model>;
  static constexpr double length = Side * Side;

  using Data = TrainingData<std::uint8_t, Real, Normalisation, 1, PathPictures>;
  static Data data(const CommandLine& line) {
    const int dashes = line.level.value_or(benchmark_dashes);
    return {line.generate ? generate_pathfinder(Side, line.seed, {}, dashes) : read(line.data),
            line.seed,
            {.mean = 0.5F, .deviation = 0.5F}};
  }
  /// The owners' pictures or MEGA's text form.
  static Parts<PathPictures> read(const std::string& directory) {
    const bool is_text = std::filesystem::exists(std::filesystem::path(directory) / "input");
    Splits<std::uint8_t> splits = is_text ? read_mega_pictures(directory, paper::Pathfinder::classes)
                                          : read_pathfinder(directory, Side);
    return {PathPictures(std::move(splits.train)), PathPictures(std::move(splits.validation)),
            PathPictures(std::move(splits.test))};
  }

  static constexpr const char* layout =
      "directory curv_contour_length_14, or the one it stands in (metadata/K.npy, imgs/K/sample_I.png), or "
      "MEGA's text form (input/, label/)";
  static constexpr Levels levels{least_dashes, benchmark_dashes,
                                 "dashes of a long contour in the pictures that train, fewer are easier: so "
                                 "many, one less or two less below 14, the benchmark's number"};
  static constexpr const char* generated =
      "draw the pictures, when they are asked for, by the benchmark's rules from --seed: 160,000 / 20,000 / "
      "20,000";
};

}  // namespace tasks
