#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tasks/data/dataset.hpp>
#include <utility>
#include <variant>
#include <vector>

/// Pathfinder's pictures, drawn: dashed contours on black, and two discs that lie on the two ends of one long contour (label 1) or
/// on ends of two (label 0). The rules are those of Linsley et al. (2018) with the Long Range Arena's settings for
/// curv_contour_length_14; docs/pathfinder.md says how near. All arithmetic that decides is on integers: a picture is the same
/// everywhere.
namespace tasks {

/// How the pictures of one size are drawn. Lengths are in pixels.
struct PathfinderSettings {
  int side;
  int dash_length;
  double thickness;  // of a dash, a multiple of 1/8
  std::array<int, 2>
      margins;  // a picture has one of them: neighbouring dashes leave a gap of twice the margin
  double
      continuity;  // a turn by an angle a has the chance cos^2(continuity a), none beyond a quarter turn of the product
  int seed_distance;             // between the two long contours' first ends
  double marker_radius;          // of the discs, a multiple of 1/8
  int contrast, other_contrast;  // of long contours and distractors, per cent of a disc's
  int distractors;               // as many as there is room for, up to this
  int distractor_dashes = 4;
  int padding = 1;  // pixels at the border that stay empty, and a margin more

  /// Centre lines of two dashes that are not neighbours are never nearer, in sixteenths of a pixel.
  [[nodiscard]] constexpr int clearance(int margin) const {
    return 32 * margin + static_cast<int>(16 * thickness) - 8;
  }
  /// Nor does a contour go on to a point nearer to another dash's line.
  [[nodiscard]] constexpr int end_clearance(int margin) const {
    return 32 * margin + static_cast<int>(8 * thickness) + 8;
  }
};

/// The settings of 32 x 32 (Pathfinder) or 128 x 128 pixels (Path-X). Throws `Error` for other sizes.
const PathfinderSettings& pathfinder_settings(std::size_t side);

/// In sixteenths of a pixel; (0, 0) is the centre of the first pixel, y goes down.
struct PathPoint {
  int x, y;
};
/// The centre line of a dash, in the order in which its contour was drawn.
struct PathDash {
  PathPoint begin, end;
};
using PathContour = std::vector<PathDash>;

struct PathfinderPicture {
  std::size_t side;
  int margin;
  int label;                          // 1: the discs lie on one contour
  std::vector<PathContour> contours;  // the two long ones, then the distractors
  std::size_t first, last;            // the long contours whose first end, whose last end carries a disc
  std::vector<std::uint8_t> pixels;   // (side, side)

  [[nodiscard]] std::array<PathPoint, 2> discs() const {
    return {contours[first].front().begin, contours[last].back().end};
  }
};

/// Dashes of a long contour. The owners publish sets with 6 (curv_baseline) and 9 as well.
inline constexpr int benchmark_dashes = 14, least_dashes = 3;

/// Picture `number` of a seed. Of the numbers 20 k to 20 k + 19 each label has ten: in each split by tens, too, half are paths.
PathfinderPicture draw_pathfinder(std::size_t side, std::uint64_t seed, std::uint64_t number,
                                  int dashes = benchmark_dashes);

/// The label of that picture.
int pathfinder_label(std::uint64_t seed, std::uint64_t number);

/// The grey values of a picture's geometry: what a dash or a disc covers of a pixel times its contrast, the largest at each pixel;
/// the brightest pixel becomes 255.
std::vector<std::uint8_t> paint_pathfinder(const PathfinderPicture& geometry);

/// Labelled pictures, as `SequenceDataset`, that were read or that are drawn when they are asked for.
class PathPictures {
 public:
  explicit PathPictures(SequenceDataset<std::uint8_t> read) : from_(std::move(read)) {}
  /// The pictures `first` to `first` + `count` - 1 of a seed. Below the benchmark's number of dashes a third each have `most_dashes`, one
  /// less and two less.
  PathPictures(std::size_t side, std::uint64_t seed, std::uint64_t first, std::size_t count,
               int most_dashes = benchmark_dashes)
      : from_(Drawn{side, seed, first, count, most_dashes}) {}

  [[nodiscard]] bool is_drawn() const { return std::holds_alternative<Drawn>(from_); }
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::int32_t label(std::size_t i) const;
  /// Valid until the next call.
  [[nodiscard]] std::span<const std::uint8_t> sequence(std::size_t i) const;

 private:
  struct Drawn {
    std::size_t side;
    std::uint64_t seed, first;
    std::size_t count;
    int most_dashes;
    [[nodiscard]] int dashes(std::uint64_t number) const;
  };
  std::variant<SequenceDataset<std::uint8_t>, Drawn> from_;
  mutable std::vector<std::uint8_t> pixels_;
};

struct PathfinderCounts {
  std::size_t train = 160000, validation = 20000, test = 20000;
};

/// The first pictures of a seed train, the next ones validate, then test. `level`: the most dashes of those that train; the others are the
/// benchmark's.
Parts<PathPictures> generate_pathfinder(std::size_t side, std::uint64_t seed,
                                        const PathfinderCounts& counts = {}, int level = benchmark_dashes);

/// A hash of the first pictures of each part, when they are drawn; of all when they were read.
std::uint64_t hash(const Parts<PathPictures>& parts);

}  // namespace tasks
