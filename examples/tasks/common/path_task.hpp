#pragma once

#include <filesystem>
#include <tasks/common/task.hpp>
#include <tasks/data/mega_text.hpp>
#include <tasks/data/pathfinder.hpp>

namespace tasks {

/// What Pathfinder and Path-X share: pictures of Side x Side grey pixels, one a step; two dots are ends of one path, or not.
template <std::size_t Side>
struct PathTask {
  template <class Model>
  using Network = seqboat::Classifier<Model>;
  static constexpr double length = Side * Side;

  using Data = TrainingData<std::uint8_t, float, Normalisation>;
  static Data data(const CommandLine& line) {
    const bool is_text = std::filesystem::exists(std::filesystem::path(line.data) / "input");
    return {is_text ? read_mega_pictures(line.data, paper::Pathfinder::classes)
                    : read_pathfinder(line.data, Side),
            line.seed,
            {.mean = 0.5F, .deviation = 0.5F}};
  }

  static constexpr const char* layout =
      "directory curv_contour_length_14, or the one it stands in (metadata/K.npy, imgs/K/sample_I.png), or "
      "MEGA's text form (input/, label/)";
};

}  // namespace tasks
