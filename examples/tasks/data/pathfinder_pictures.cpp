#include <algorithm>
#include <cstdlib>
#include <tasks/data/pathfinder_generator.hpp>

namespace tasks {

namespace {

constexpr int kUnit = 16;    // of a pixel
constexpr int kSamples = 8;  // a pixel's side has so many, at odd sixteenths

/// Grey values before they are scaled: samples covered times per cent of contrast.
class Canvas {
 public:
  explicit Canvas(int side)
      : side_(side), values_(static_cast<std::size_t>(side) * static_cast<std::size_t>(side)) {}

  /// A bar along the dash, a quarter of a pixel longer at each end.
  void add_dash(const PathDash& dash, int length, int thickness, int contrast) {
    const int vx = dash.end.x - dash.begin.x, vy = dash.end.y - dash.begin.y;
    const int norm = vx * vx + vy * vy;
    const int along = norm / (4 * length);                // a quarter of a pixel times the dash's length
    const int across = thickness * thickness * norm / 4;  // the square of half the thickness times the length
    const int reach = thickness / 2 + kUnit / 2;
    add(std::min(dash.begin.x, dash.end.x) - reach, std::max(dash.begin.x, dash.end.x) + reach,
        std::min(dash.begin.y, dash.end.y) - reach, std::max(dash.begin.y, dash.end.y) + reach, contrast,
        [=](int x, int y) {
          const int px = x - dash.begin.x, py = y - dash.begin.y;
          const int on = px * vx + py * vy, off = px * vy - py * vx;
          return (on >= -along) & (on <= norm + along) & (off * off <= across);
        });
  }

  void add_disc(PathPoint at, int radius) {
    add(at.x - radius, at.x + radius, at.y - radius, at.y + radius, 100, [=](int x, int y) {
      const int dx = x - at.x, dy = y - at.y;
      return dx * dx + dy * dy <= radius * radius;
    });
  }

  [[nodiscard]] std::vector<std::uint8_t> pixels() const {
    const int most = *std::max_element(values_.begin(), values_.end());
    std::vector<std::uint8_t> out(values_.size());
    std::transform(values_.begin(), values_.end(), out.begin(),
                   [most](int value) { return static_cast<std::uint8_t>((value * 255 + most / 2) / most); });
    return out;
  }

 private:
  /// What of the pixels in a box, in sixteenths, is inside a shape.
  template <class Inside>
  void add(int left, int right, int top, int bottom, int contrast, const Inside& inside) {
    const auto pixel = [this](int x) { return std::clamp((x + kUnit / 2) / kUnit, 0, side_ - 1); };
    for (int y = pixel(top); y <= pixel(bottom); ++y)
      for (int x = pixel(left); x <= pixel(right); ++x) {
        int covered = 0;
        for (int sy = 1 - kSamples; sy < kSamples; sy += 2)
          for (int sx = 1 - kSamples; sx < kSamples; sx += 2)
            covered += inside(kUnit * x + sx, kUnit * y + sy) ? 1 : 0;
        int& value = values_[static_cast<std::size_t>(y) * static_cast<std::size_t>(side_) +
                             static_cast<std::size_t>(x)];
        value = std::max(value, covered * contrast);
      }
  }

  int side_;
  std::vector<int> values_;
};

}  // namespace

std::vector<std::uint8_t> paint_pathfinder(const PathfinderPicture& geometry) {
  const PathfinderSettings& s = pathfinder_settings(geometry.side);
  Canvas canvas(s.side);
  const int thickness = static_cast<int>(kUnit * s.thickness);
  for (std::size_t c = 0; c < geometry.contours.size(); ++c)
    for (const PathDash& dash : geometry.contours[c])
      canvas.add_dash(dash, s.dash_length, thickness, c < 2 ? s.contrast : s.other_contrast);
  for (const PathPoint at : geometry.discs()) canvas.add_disc(at, static_cast<int>(kUnit * s.marker_radius));
  return canvas.pixels();
}

std::size_t PathPictures::size() const {
  const auto* drawn = std::get_if<Drawn>(&from_);
  return drawn != nullptr ? drawn->count : std::get<0>(from_).size();
}

std::int32_t PathPictures::label(std::size_t i) const {
  const auto* drawn = std::get_if<Drawn>(&from_);
  return drawn != nullptr ? pathfinder_label(drawn->seed, drawn->first + i) : std::get<0>(from_).label(i);
}

std::span<const std::uint8_t> PathPictures::sequence(std::size_t i) const {
  const auto* drawn = std::get_if<Drawn>(&from_);
  if (drawn == nullptr) return std::get<0>(from_).sequence(i);
  const std::uint64_t number = drawn->first + i;
  pixels_ = draw_pathfinder(drawn->side, drawn->seed, number, drawn->dashes(number)).pixels;
  return pixels_;
}

int PathPictures::Drawn::dashes(std::uint64_t number) const {
  if (most_dashes == benchmark_dashes) return most_dashes;
  return std::max(least_dashes,
                  most_dashes - static_cast<int>(number / 20 % 3));  // of each twenty half are paths
}

Parts<PathPictures> generate_pathfinder(std::size_t side, std::uint64_t seed, const PathfinderCounts& counts,
                                        int level) {
  return {PathPictures(side, seed, 0, counts.train, level),
          PathPictures(side, seed, counts.train, counts.validation),
          PathPictures(side, seed, counts.train + counts.validation, counts.test)};
}

std::uint64_t hash(const Parts<PathPictures>& parts) {
  constexpr std::size_t drawn = 20;  // tell one seed, and one way of drawing, from another
  Splits<std::uint8_t> some;
  const std::pair<const PathPictures&, SequenceDataset<std::uint8_t>&> all[] = {
      {parts.train, some.train}, {parts.validation, some.validation}, {parts.test, some.test}};
  for (const auto& [from, to] : all)
    for (std::size_t i = 0; i < (from.is_drawn() ? std::min(drawn, from.size()) : from.size()); ++i)
      to.append(from.sequence(i), from.label(i));
  return hash(some);
}

}  // namespace tasks
