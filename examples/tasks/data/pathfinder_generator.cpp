#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <tasks/data/pathfinder_generator.hpp>
#include <utility>

namespace tasks {

namespace {

constexpr int kUnit = 16;  // of a pixel

PathPoint operator+(PathPoint a, PathPoint b) { return {a.x + b.x, a.y + b.y}; }
PathPoint operator-(PathPoint a, PathPoint b) { return {a.x - b.x, a.y - b.y}; }
std::int64_t dot(PathPoint a, PathPoint b) { return std::int64_t{a.x} * b.x + std::int64_t{a.y} * b.y; }
std::int64_t cross(PathPoint a, PathPoint b) { return std::int64_t{a.x} * b.y - std::int64_t{a.y} * b.x; }

/// `direction` made `length` sixteenths long.
PathPoint scaled(PathPoint direction, int length) {
  const double norm = std::sqrt(static_cast<double>(dot(direction, direction)));
  return {static_cast<int>(std::lround(direction.x * length / norm)),
          static_cast<int>(std::lround(direction.y * length / norm))};
}

/// Whether a point is nearer to a segment than `distance`.
bool nearer(PathPoint p, const PathDash& s, std::int64_t distance) {
  const PathPoint v = s.end - s.begin;
  const PathPoint w = p - s.begin;
  const std::int64_t along = dot(w, v), norm = dot(v, v);
  if (along <= 0) return dot(w, w) < distance * distance;
  if (along >= norm) return dot(p - s.end, p - s.end) < distance * distance;
  const std::int64_t across = cross(w, v);
  return across * across < distance * distance * norm;
}

bool crosses(const PathDash& a, const PathDash& b) {
  const auto parts = [](const PathDash& line, const PathDash& points) {
    const PathPoint v = line.end - line.begin;
    const auto side = [&](PathPoint p) { return cross(v, p - line.begin); };
    return (side(points.begin) < 0) != (side(points.end) < 0);
  };
  return parts(a, b) && parts(b, a);
}

bool nearer(const PathDash& a, const PathDash& b, int distance) {
  const auto apart = [distance](int a0, int a1, int b0, int b1) {
    return std::min(b0, b1) - std::max(a0, a1) >= distance || std::min(a0, a1) - std::max(b0, b1) >= distance;
  };
  if (apart(a.begin.x, a.end.x, b.begin.x, b.end.x) || apart(a.begin.y, a.end.y, b.begin.y, b.end.y))
    return false;
  return nearer(a.begin, b, distance) || nearer(a.end, b, distance) || nearer(b.begin, a, distance) ||
         nearer(b.end, a, distance) || crosses(a, b);
}

/// The whole pixels at `radius` from (0, 0), to half a pixel.
std::vector<PathPoint> circle(int radius) {
  std::vector<PathPoint> out;
  for (int y = -radius; y <= radius; ++y)
    for (int x = -radius; x <= radius; ++x)
      if (const int d = 4 * (x * x + y * y);
          d > (2 * radius - 1) * (2 * radius - 1) && d < (2 * radius + 1) * (2 * radius + 1))
        out.push_back({x, y});
  return out;
}

/// What dashes of one margin have in common. A dash has one of finitely many directions: it ends on a whole pixel `reach` pixels
/// from the middle of the gap before it.
struct Kit {
  Kit(const PathfinderSettings& settings, int of_margin)
      : s(settings),
        margin(of_margin),
        clearance(settings.clearance(of_margin)),
        end_clearance(settings.end_clearance(of_margin)) {
    reach = circle(s.dash_length + margin);
    seeds = circle(s.seed_distance);
    for (const PathPoint from : reach) {
      dash.push_back(scaled(from, kUnit * s.dash_length));
      gap.push_back(scaled(from, kUnit * margin));
      for (const PathPoint to : reach) {
        const double cosine = static_cast<double>(dot(from, to)) /
                              std::sqrt(static_cast<double>(dot(from, from) * dot(to, to)));
        const double turn = s.continuity * std::acos(std::clamp(cosine, -1.0, 1.0));
        const double half_turn = std::acos(0.0);
        const double root = turn < half_turn ? std::cos(turn) : 0.0;
        // Rounded far above the last place: mathematical libraries that differ there agree here.
        chance.push_back(static_cast<std::uint32_t>(std::lround(root * root * 1048576)));
      }
    }
  }

  const PathfinderSettings& s;
  int margin;
  int clearance, end_clearance;
  std::vector<PathPoint> reach;       // (directions), pixels
  std::vector<PathPoint> dash, gap;   // (directions), sixteenths
  std::vector<PathPoint> seeds;       // from one long contour's first end to the other's, pixels
  std::vector<std::uint32_t> chance;  // (directions, directions), of a turn from one to the other
};

const Kit& kit_of(std::size_t side, std::size_t margin) {
  static const auto make = [](std::size_t of) {
    const PathfinderSettings& s = pathfinder_settings(of);
    return std::array<Kit, 2>{Kit(s, s.margins[0]), Kit(s, s.margins[1])};
  };
  static const std::array<Kit, 2> small = make(32), large = make(128);
  return (side == 32 ? small : large)[margin];
}

/// One attempt at a picture: contours that grow dash by dash and keep clear of all there is.
class Drawing {
 public:
  /// Of long contours of so many dashes.
  Drawing(const Kit& kit, int dashes, SplitMix& random)
      : kit_(kit),
        dashes_(static_cast<std::size_t>(dashes)),
        random_(random),
        taken_(static_cast<std::size_t>(kit.s.side * kit.s.side), 0) {}

  /// Two long contours, a dash of each in turns. Where one has no way on, both go back a few dashes. False when that has happened too
  /// often.
  bool draw_long() {
    const PathfinderSettings& s = kit_.s;
    const int least = 2 * s.seed_distance, most = s.side - 1 - least;
    for (int trial = 0; trial < 100 && contours_.empty(); ++trial)
      begin({between(least, most), between(least, most)}, least);
    if (contours_.empty()) return false;
    const PathPoint origin = contours_[0][0].begin;
    const std::vector<PathPoint>& ring = kit_.seeds;
    for (int trial = 0; trial < 10 && contours_.size() == 1; ++trial) {
      const PathPoint away = ring[random_.below(ring.size())];
      begin({origin.x / kUnit + away.x, origin.y / kUnit + away.y}, border());
    }
    if (contours_.size() == 1) return false;
    int dead_ends = 0;
    while (contours_[1].size() < dashes_) {
      if (extend(0) && extend(1)) continue;
      if (++dead_ends > 30) return false;
      go_back(4);
    }
    for (const PathContour& contour : contours_) take(contour.back());
    return ends_apart();
  }

  /// Distractors, each where there is room; one that finds none in five tries is left out.
  void draw_distractors() {
    const PathfinderSettings& s = kit_.s;
    for (int n = 0; n < s.distractors; ++n)
      for (int trial = 0; trial < 5; ++trial)
        if (draw_distractor()) break;
  }

  [[nodiscard]] std::vector<PathContour>& contours() { return contours_; }

 private:
  [[nodiscard]] int border() const { return kit_.s.padding + kit_.margin; }
  int between(int least, int most) {
    return least + static_cast<int>(random_.below(static_cast<std::uint64_t>(most - least + 1)));
  }
  [[nodiscard]] bool inside(PathPoint p, int least) const {
    const int low = kUnit * least, high = kUnit * (kit_.s.side - 1 - least);
    return p.x >= low && p.x <= high && p.y >= low && p.y <= high;
  }

  /// Whether a dash keeps clear of all dashes but the last of contour `own`.
  [[nodiscard]] bool clear(const PathDash& dash, std::size_t own) const {
    for (std::size_t c = 0; c < contours_.size(); ++c) {
      const std::size_t count = contours_[c].size() - (c == own ? 1 : 0);
      for (std::size_t i = 0; i < count; ++i)
        if (nearer(dash, contours_[c][i], kit_.clearance)) return false;
    }
    return true;
  }
  /// Whether a dash of contour `own` may end on a pixel.
  [[nodiscard]] bool clear(PathPoint pixel, std::size_t own) const {
    if (taken_[at(pixel)] != 0) return false;
    const PathPoint p{kUnit * pixel.x, kUnit * pixel.y};
    for (std::size_t c = 0; c < contours_.size(); ++c)
      if (c != own && nearer(p, contours_[c].back(), kit_.end_clearance)) return false;
    return true;
  }
  [[nodiscard]] std::size_t at(PathPoint pixel) const {
    return static_cast<std::size_t>(pixel.y * kit_.s.side + pixel.x);
  }
  /// Counts, at each pixel, the dashes because of which none may end there: one more, or one less.
  void take(const PathDash& dash, int more = 1) {
    const int radius = kit_.end_clearance, square = radius * radius;
    const int vx = dash.end.x - dash.begin.x, vy = dash.end.y - dash.begin.y, norm = vx * vx + vy * vy;
    const auto low = [=](int a, int b) { return std::max((std::min(a, b) - radius) / kUnit, 0); };
    const auto high = [this, radius](int a, int b) {
      return std::min((std::max(a, b) + radius) / kUnit, kit_.s.side - 1);
    };
    const int left = low(dash.begin.x, dash.end.x), right = high(dash.begin.x, dash.end.x);
    const int bottom = high(dash.begin.y, dash.end.y);
    for (int y = low(dash.begin.y, dash.end.y); y <= bottom; ++y) {
      std::int8_t* row = taken_.data() + at({0, y});
      const int wy = kUnit * y - dash.begin.y, ey = wy - vy;
      for (int x = left; x <= right; ++x) {
        const int wx = kUnit * x - dash.begin.x, ex = wx - vx;
        const int along = wx * vx + wy * vy, across = wx * vy - wy * vx;
        const bool near = (wx * wx + wy * wy < square) | (ex * ex + ey * ey < square) |
                          ((along > 0) & (along < norm) & (across * across < square * norm));
        row[x] = static_cast<std::int8_t>(row[x] + (near ? more : 0));
      }
    }
  }

  /// The first dash of a contour, in any direction from a whole pixel, when there is room for it, `least` pixels from the border.
  bool begin(PathPoint pixel, int least) {
    const std::size_t direction = random_.below(kit_.reach.size());
    const PathPoint from{kUnit * pixel.x, kUnit * pixel.y};
    const PathDash dash{from, from + kit_.dash[direction]};
    if (!inside(dash.begin, least) || !inside(dash.end, least) || !clear(dash, contours_.size()))
      return false;
    contours_.push_back({dash});
    directions_.push_back({direction});
    return true;
  }

  /// One more dash behind the last one of contour `c`; false when there is no room.
  bool extend(std::size_t c) {
    const auto whole = [](int x) { return (x + kUnit / 2) / kUnit; };
    const PathPoint middle = contours_[c].back().end + kit_.gap[directions_[c].back()];
    const PathPoint pivot{whole(middle.x), whole(middle.y)};
    const std::size_t directions = kit_.reach.size();
    weights_.assign(directions, 0);
    std::uint64_t total = 0;
    for (std::size_t d = 0; d < directions; ++d) {
      const std::uint32_t chance = kit_.chance[directions_[c].back() * directions + d];
      const PathPoint end = pivot + kit_.reach[d];
      if (chance != 0 && inside({kUnit * end.x, kUnit * end.y}, border()) && clear(end, c))
        total += weights_[d] = chance;
    }
    while (total > 0) {
      std::uint64_t left = random_.below(total);
      std::size_t d = 0;
      while (left >= weights_[d]) left -= weights_[d++];
      const PathPoint end{kUnit * (pivot.x + kit_.reach[d].x), kUnit * (pivot.y + kit_.reach[d].y)};
      const PathDash dash{end - kit_.dash[d], end};
      if (inside(dash.begin, border()) && clear(dash, c)) {
        take(contours_[c].back());
        contours_[c].push_back(dash);
        directions_[c].push_back(d);
        return true;
      }
      total -= std::exchange(weights_[d], 0);
    }
    return false;
  }

  /// Takes the last `count` dashes, but not the first dash, from all contours, which are then equally long.
  void go_back(std::size_t count) {
    const std::size_t shortest = contours_.back().size();
    const std::size_t left = shortest > count ? shortest - count : 1;
    for (std::size_t c = 0; c < contours_.size(); ++c) shorten(c, left);
  }
  void shorten(std::size_t c, std::size_t left) {
    // The last one was not taken yet, and the one before it is the last one then.
    for (std::size_t i = left - 1; i + 1 < contours_[c].size(); ++i) take(contours_[c][i], -1);
    contours_[c].resize(left);
    directions_[c].resize(left);
  }

  bool draw_distractor() {
    const std::size_t c = contours_.size();
    const int most = kit_.s.side - 1 - border();
    for (int trial = 0; trial < 200 && contours_.size() == c; ++trial)
      begin({between(border(), most), between(border(), most)}, border());
    if (contours_.size() == c) return false;
    for (int i = 1; i < kit_.s.distractor_dashes; ++i)
      if (!extend(c)) {
        shorten(c, 1);
        contours_.pop_back();
        directions_.pop_back();
        return false;
      }
    take(contours_[c].back());
    return true;
  }

  /// Discs on any first and any last end leave a pixel between them.
  [[nodiscard]] bool ends_apart() const {
    const auto least = static_cast<std::int64_t>(kUnit * (2 * kit_.s.marker_radius + 1));
    for (const std::size_t a : {0U, 1U})
      for (const std::size_t b : {0U, 1U}) {
        const PathPoint apart = contours_[a].front().begin - contours_[b].back().end;
        if (dot(apart, apart) < least * least) return false;
      }
    return true;
  }

  const Kit& kit_;
  std::size_t dashes_;
  SplitMix& random_;
  std::vector<PathContour> contours_;
  std::vector<std::vector<std::size_t>> directions_;  // of each dash, in kit_.reach
  std::vector<std::int8_t> taken_;      // (side, side): dashes because of which none may end there
  std::vector<std::uint64_t> weights_;  // (directions)
};

/// A stream of its own for each (seed, number).
SplitMix stream_of(std::uint64_t seed, std::uint64_t number) {
  return SplitMix(SplitMix(seed).next() ^ SplitMix(~number).next());
}

}  // namespace

const PathfinderSettings& pathfinder_settings(std::size_t side) {
  static const PathfinderSettings small{.side = 32,
                                        .dash_length = 2,
                                        .thickness = 0.5,
                                        .margins = {1, 1},
                                        .continuity = 1.0,
                                        .seed_distance = 7,
                                        .marker_radius = 1.5,
                                        .contrast = 150,
                                        .other_contrast = 200,
                                        .distractors = 5};
  static const PathfinderSettings large{.side = 128,
                                        .dash_length = 5,
                                        .thickness = 1.5,
                                        .margins = {2, 3},
                                        .continuity = 1.8,
                                        .seed_distance = 20,
                                        .marker_radius = 3.0,
                                        .contrast = 90,
                                        .other_contrast = 90,
                                        .distractors = 8};
  if (side == 32) return small;
  if (side == 128) return large;
  throw sma::Error("Pathfinder generator: found a side of " + std::to_string(side) +
                   " pixels, expected 32 or 128");
}

int pathfinder_label(std::uint64_t seed, std::uint64_t number) {
  const std::uint64_t coin = stream_of(seed, number / 20 * 20 + number % 10).next() >> 63;
  return static_cast<int>(coin ^ (number % 20 / 10));
}

PathfinderPicture draw_pathfinder(std::size_t side, std::uint64_t seed, std::uint64_t number, int dashes) {
  const PathfinderSettings& s = pathfinder_settings(side);
  SplitMix random = stream_of(seed, number);
  random.next();  // the label's
  const std::size_t margin = random.below(s.margins.size());
  PathfinderPicture out{side, s.margins[margin], pathfinder_label(seed, number), {}, 0, 0, {}};
  for (;;) {
    Drawing drawing(kit_of(side, margin), dashes, random);
    if (!drawing.draw_long()) continue;
    drawing.draw_distractors();
    out.contours = std::move(drawing.contours());
    break;
  }
  out.first = random.below(2);
  out.last = out.label == 1 ? out.first : 1 - out.first;
  out.pixels = paint_pathfinder(out);
  return out;
}

}  // namespace tasks
