#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <string>
#include <support/files.hpp>
#include <tasks/common/training_data.hpp>
#include <tasks/data/pathfinder.hpp>
#include <tasks/data/pathfinder_generator.hpp>
#include <tasks/data/png.hpp>
#include <vector>

namespace {

using files::message_of;

/// In pixels.
struct Point {
  double x, y;
};
Point point(tasks::PathPoint p) { return {p.x / 16.0, p.y / 16.0}; }
Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
Point operator*(double f, Point a) { return {f * a.x, f * a.y}; }
double length(Point a) { return std::hypot(a.x, a.y); }
/// 0 to pi.
double angle(Point a, Point b) {
  return std::acos(std::clamp((a.x * b.x + a.y * b.y) / (length(a) * length(b)), -1.0, 1.0));
}

/// The least distance of points along two dashes.
double distance(const tasks::PathDash& a, const tasks::PathDash& b) {
  double least = 1e9;
  for (int i = 0; i <= 12; ++i)
    for (int j = 0; j <= 12; ++j) {
      const Point p = point(a.begin) + i / 12.0 * (point(a.end) - point(a.begin));
      const Point q = point(b.begin) + j / 12.0 * (point(b.end) - point(b.begin));
      least = std::min(least, length(p - q));
    }
  return least;
}

/// Calls f(settings, picture) for `small` pictures of 32 x 32 pixels and `large` ones of 128 x 128.
template <class F>
void for_pictures(std::uint64_t small, std::uint64_t large, const F& f) {
  for (const std::size_t side : {32U, 128U})
    for (std::uint64_t i = 0; i < (side == 32 ? small : large); ++i)
      f(tasks::pathfinder_settings(side), tasks::draw_pathfinder(side, 3, i));
}

/// A dash as its pixels show it: a flood's two ends. A dash with a disc begins at the disc's middle.
struct Seen {
  Point ends[2];
  bool disc;
};

std::vector<Seen> dashes_of(const std::vector<std::uint8_t>& pixels, int side) {
  std::vector<bool> seen(pixels.size(), false);
  const auto at = [&](int x, int y) { return static_cast<std::size_t>(y * side + x); };
  const auto lit = [&](int x, int y) {
    return x >= 0 && y >= 0 && x < side && y < side && pixels[at(x, y)] > 90 && !seen[at(x, y)];
  };
  std::vector<Seen> out;
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) {
      if (!lit(x, y)) continue;
      std::vector<std::pair<int, int>> flood{{x, y}};
      seen[at(x, y)] = true;
      for (std::size_t i = 0; i < flood.size(); ++i)
        for (const auto& [dx, dy] : {std::pair(1, 0), std::pair(-1, 0), std::pair(0, 1), std::pair(0, -1)})
          if (const auto [px, py] = std::pair(flood[i].first + dx, flood[i].second + dy); lit(px, py)) {
            seen[at(px, py)] = true;
            flood.emplace_back(px, py);
          }
      // Only discs have pixels of full brightness.
      Point disc{0, 0};
      int full = 0;
      for (const auto& [px, py] : flood)
        if (pixels[at(px, py)] >= 250) {
          disc = disc + Point{double(px), double(py)};
          ++full;
        }
      const auto farthest = [&](Point from) {
        Point best = from;
        for (const auto& [px, py] : flood)
          if (length(Point{double(px), double(py)} - from) > length(best - from))
            best = {double(px), double(py)};
        return best;
      };
      if (full > 9) {
        disc = 1.0 / full * disc;
        out.push_back({{disc, farthest(disc)}, true});
      } else {
        const Point one = farthest({double(x), double(y)});
        out.push_back({{one, farthest(one)}, false});
      }
    }
  return out;
}

/// From one disc from dash to dash, each time to the end that goes on best; whether that arrives at the other disc.
bool walk_arrives(const std::vector<Seen>& dashes) {
  std::size_t here = 0;
  while (!dashes[here].disc) ++here;
  std::vector<bool> used(dashes.size(), false);
  used[here] = true;
  Point tip = dashes[here].ends[1], way = tip - dashes[here].ends[0];
  for (;;) {
    double best = 1e9;
    std::size_t next = 0, near = 0;
    for (std::size_t i = 0; i < dashes.size(); ++i)
      for (const std::size_t e : {0U, 1U}) {
        if (used[i] || (dashes[i].disc && e == 0)) continue;
        const Point gap = dashes[i].ends[e] - tip, on = dashes[i].ends[1 - e] - dashes[i].ends[e];
        const double turn = std::max(angle(way, gap), angle(gap, on));
        if (length(gap) > 10 || turn > 1.1 || angle(way, on) > 1.1) continue;
        if (const double score = length(gap) + 4 * turn; score < best) {
          best = score;
          next = i;
          near = e;
        }
      }
    if (best == 1e9) return false;
    if (dashes[next].disc) return true;
    used[next] = true;
    tip = dashes[next].ends[1 - near];
    way = tip - dashes[next].ends[near];
  }
}

}  // namespace

TEST_CASE("a picture is a function of side, seed and number, the same on every platform") {
  const auto a = tasks::draw_pathfinder(32, 1, 5);
  CHECK(a.pixels == tasks::draw_pathfinder(32, 1, 5).pixels);
  CHECK(a.pixels != tasks::draw_pathfinder(32, 1, 6).pixels);
  CHECK(a.pixels != tasks::draw_pathfinder(32, 2, 5).pixels);
  const tasks::PathfinderCounts counts{30, 10, 10};
  CHECK(tasks::hash_text(hash(tasks::generate_pathfinder(32, 1, counts))) == "0d6f89a4c2186784");
  CHECK(tasks::hash_text(hash(tasks::generate_pathfinder(128, 1, {5, 1, 1}))) == "7da5bf99913ebbe3");
  CHECK(message_of([] { tasks::draw_pathfinder(64, 1, 0); }) ==
        "Pathfinder generator: found a side of 64 pixels, expected 32 or 128");
}

TEST_CASE("of twenty pictures ten are paths, and of those that validate or test half are") {
  for (std::uint64_t seed = 1; seed < 4; ++seed)
    for (std::uint64_t first = 0; first < 400; first += 20) {
      int paths = 0;
      for (std::uint64_t i = 0; i < 20; ++i) paths += tasks::pathfinder_label(seed, first + i);
      CHECK(paths == 10);
      for (std::uint64_t i = 0; i < 10; ++i)
        CHECK(tasks::pathfinder_label(seed, first + i) != tasks::pathfinder_label(seed, first + i + 10));
    }
  int alike = 0;  // with the one before it: neither always nor never
  for (std::uint64_t i = 1; i < 1000; ++i)
    alike += tasks::pathfinder_label(1, i) == tasks::pathfinder_label(1, i - 1) ? 1 : 0;
  CHECK(alike > 400);
  CHECK(alike < 600);
  CHECK(tasks::draw_pathfinder(32, 1, 7).label == tasks::pathfinder_label(1, 7));
}

TEST_CASE("two contours have 14 dashes, distractors 4, one behind the other with gaps of twice the margin") {
  for_pictures(100, 20, [](const tasks::PathfinderSettings& s, const tasks::PathfinderPicture& p) {
    REQUIRE(p.contours.size() >= 2);
    REQUIRE(p.contours.size() <= 2 + static_cast<std::size_t>(s.distractors));
    REQUIRE((p.margin == s.margins[0] || p.margin == s.margins[1]));
    for (std::size_t c = 0; c < p.contours.size(); ++c) {
      const tasks::PathContour& contour = p.contours[c];
      REQUIRE(contour.size() == (c < 2 ? 14U : 4U));
      double gaps = 0;
      for (std::size_t i = 0; i < contour.size(); ++i) {
        const Point along = point(contour[i].end) - point(contour[i].begin);
        REQUIRE(length(along) == doctest::Approx(s.dash_length).epsilon(0.03));
        if (i == 0) continue;
        const double gap = length(point(contour[i].begin) - point(contour[i - 1].end));
        REQUIRE(gap > 1.2 * p.margin - 0.8);
        REQUIRE(gap < 2 * p.margin + 1.3);
        gaps += gap;
        // A little more than the setting allows: what is rounded to whole pixels turns.
        const double turn = angle(along, point(contour[i - 1].end) - point(contour[i - 1].begin));
        REQUIRE(turn < 0.5 * std::numbers::pi / s.continuity + 0.05);
      }
      if (c < 2) REQUIRE(gaps / 13 == doctest::Approx(2 * p.margin).epsilon(0.2));
    }
  });
}

TEST_CASE("no dash is nearer to another, but its neighbours, than the margin allows") {
  for_pictures(100, 20, [](const tasks::PathfinderSettings& s, const tasks::PathfinderPicture& p) {
    const double least = 2 * p.margin + s.thickness - 0.5;
    for (std::size_t a = 0; a < p.contours.size(); ++a)
      for (std::size_t b = a; b < p.contours.size(); ++b)
        for (std::size_t i = 0; i < p.contours[a].size(); ++i)
          for (std::size_t j = a == b ? i + 2 : 0; j < p.contours[b].size(); ++j)
            REQUIRE(distance(p.contours[a][i], p.contours[b][j]) >= least);
  });
}

TEST_CASE("a path's discs lie on the two ends of one long contour, others' on ends of two") {
  for_pictures(200, 30, [](const tasks::PathfinderSettings& s, const tasks::PathfinderPicture& p) {
    std::vector<std::size_t> on;
    bool first_ends = false, last_ends = false;
    for (const tasks::PathPoint disc : p.discs()) {
      for (const double x : {point(disc).x, point(disc).y}) {
        REQUIRE(x >= s.marker_radius - 0.5);
        REQUIRE(x <= s.side - 0.5 - s.marker_radius);
      }
      for (std::size_t c = 0; c < p.contours.size(); ++c)
        for (const bool last : {false, true}) {
          const Point end = point(last ? p.contours[c].back().end : p.contours[c].front().begin);
          if (length(end - point(disc)) > s.marker_radius) continue;
          on.push_back(c);
          (last ? last_ends : first_ends) = true;
        }
    }
    REQUIRE(on.size() == 2);
    REQUIRE(std::max(on[0], on[1]) < 2);
    REQUIRE((on[0] == on[1]) == (p.label == 1));
    REQUIRE((first_ends && last_ends));
    const Point seeds = point(p.contours[0].front().begin) - point(p.contours[1].front().begin);
    REQUIRE(std::abs(length(seeds) - s.seed_distance) <= 0.5);
  });
}

TEST_CASE("walking from disc to disc over the pixels tells the label") {
  int right = 0;
  constexpr int count = 100;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto p = tasks::draw_pathfinder(128, 9, i);
    const std::vector<Seen> dashes = dashes_of(p.pixels, 128);
    std::size_t drawn = 0;
    for (const tasks::PathContour& contour : p.contours) drawn += contour.size();
    REQUIRE(dashes.size() == drawn);
    REQUIRE(std::count_if(dashes.begin(), dashes.end(), [](const Seen& d) { return d.disc; }) == 2);
    right += walk_arrives(dashes) == (p.label == 1) ? 1 : 0;
  }
  CHECK(right >= 95);  // where contours come near each other the walk may take a wrong turn
}

TEST_CASE("pictures are as bright and as full as they were when they were compared with the published ones") {
  for (const std::size_t side : {32U, 128U}) {
    const std::uint64_t count = side == 32 ? 400 : 60;
    double lit = 0, sum = 0, distractors = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto p = tasks::draw_pathfinder(side, 11, i);
      REQUIRE(*std::max_element(p.pixels.begin(), p.pixels.end()) == 255);
      for (const std::uint8_t pixel : p.pixels) {
        lit += pixel > 0 ? 1 : 0;
        sum += pixel;
      }
      distractors += static_cast<double>(p.contours.size()) - 2;
    }
    const double pixels = static_cast<double>(count * side * side);
    CHECK(lit / pixels == doctest::Approx(side == 32 ? 0.194 : 0.0616).epsilon(0.04));
    CHECK(sum / pixels == doctest::Approx(side == 32 ? 21.06 : 7.52).epsilon(0.04));
    CHECK(distractors / static_cast<double>(count) == doctest::Approx(side == 32 ? 2.7 : 7.7).epsilon(0.1));
  }
}

TEST_CASE("drawn parts go on where the part before them ends, and tell seeds apart") {
  const auto parts = tasks::generate_pathfinder(32, 4, {20, 3, 2});
  CHECK(parts.train.size() == 20);
  CHECK(parts.validation.size() == 3);
  CHECK(parts.test.size() == 2);
  const auto same = [](std::span<const std::uint8_t> a, const std::vector<std::uint8_t>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  };
  CHECK(same(parts.test.sequence(1), tasks::draw_pathfinder(32, 4, 24).pixels));
  CHECK(same(parts.train.sequence(7), tasks::draw_pathfinder(32, 4, 7).pixels));
  CHECK(parts.validation.label(2) == tasks::pathfinder_label(4, 22));
  CHECK(hash(parts) == hash(tasks::generate_pathfinder(32, 4, {20, 3, 2})));
  CHECK(hash(parts) != hash(tasks::generate_pathfinder(32, 5, {20, 3, 2})));
  const auto easy = tasks::generate_pathfinder(32, 4, {60, 3, 2}, 6);
  for (const std::uint64_t number : {7U, 27U, 47U})  // of a level's, one less, two less
    CHECK(same(easy.train.sequence(number),
               tasks::draw_pathfinder(32, 4, number, 6 - static_cast<int>(number / 20)).pixels));
  CHECK(same(easy.test.sequence(1), tasks::draw_pathfinder(32, 4, 64).pixels));
  CHECK(hash(easy) != hash(tasks::generate_pathfinder(32, 4, {60, 3, 2})));
  using Data = tasks::TrainingData<std::uint8_t, float, tasks::Normalisation, 1, tasks::PathPictures>;
  Data data(parts, 1, {0.5F, 0.5F});
  Data::Input x;
  std::vector<std::int32_t> targets;
  data.next(2, x, targets);
  CHECK(x.values().size() == 2 * 1024);
  CHECK(data.fingerprint().starts_with("20 + 3 + 2 examples, "));
}

TEST_CASE("written pictures have the owners' layout and read back") {
  const files::Directory d;
  tasks::write_pathfinder(d.path(), 32, 6, 30);
  const auto splits = tasks::read_pathfinder(d.path(), 32);
  REQUIRE(splits.train.size() == 24);
  REQUIRE(splits.validation.size() == 3);
  REQUIRE(splits.test.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto written = tasks::draw_pathfinder(32, 6, 10 * i + 9);
    const auto read = splits.test.sequence(i);
    CHECK(splits.test.label(i) == written.label);
    CHECK(std::equal(read.begin(), read.end(), written.pixels.begin(), written.pixels.end()));
  }
  const std::string lines = files::content_of(d.file("curv_contour_length_14/metadata/0.npy"));
  const std::string label = std::to_string(tasks::pathfinder_label(6, 0));
  CHECK(lines.starts_with("imgs/0 sample_0.png 0 " + label + " 1.0 14 4 2 0.5 1 1\nimgs/0 sample_1.png 1 "));
  CHECK(message_of([&] {
          tasks::write_pathfinder(d.path(), 32, 6, 30);
        }).ends_with("curv_contour_length_14: found it there already, expected to make it"));
}

TEST_CASE("the owners' other sets have contours of fewer dashes") {
  const files::Directory d;
  for (const int dashes : {tasks::least_dashes, 6, 9}) {
    CAPTURE(dashes);
    for (std::uint64_t number = 0; number < 20; ++number) {
      const auto p = tasks::draw_pathfinder(32, 3, number, dashes);
      CHECK(p.label == tasks::pathfinder_label(3, number));
      for (std::size_t c = 0; c < p.contours.size(); ++c)
        CHECK(p.contours[c].size() == static_cast<std::size_t>(c < 2 ? dashes : 4));
    }
    tasks::write_pathfinder(d.path(), 32, 3, 10, dashes);
    const std::string set = d.file("curv_contour_length_" + std::to_string(dashes));
    CHECK(files::content_of(set + "/metadata/0.npy")
              .find(" 1.0 " + std::to_string(dashes) + " 4 2 0.5 1 1\n") != std::string::npos);
    CHECK(tasks::read_pathfinder(set, 32).train.size() == 8);
  }
}

TEST_CASE("pictures that cannot be written leave nothing behind") {
  const files::Directory d;
  files::put(d.file("file"), "");
  CHECK(message_of([&] { tasks::write_pathfinder(d.file("file"), 32, 1, 10); }).find("cannot be made") !=
        std::string::npos);
  CHECK(message_of([&] { tasks::write_pathfinder(d.path(), 32, 1, 0); }) ==
        "Pathfinder writer: found a count of 0, expected at least 1");
  CHECK(message_of([&] { tasks::write_pathfinder(d.path(), 16, 1, 10); }).find("found a side of 16") !=
        std::string::npos);
  CHECK(std::distance(std::filesystem::directory_iterator(d.path()), {}) == 1);
}

TEST_CASE("a written PNG file reads back") {
  const files::Directory d;
  tasks::GreyPicture picture{3, 2, {0, 1, 127, 128, 254, 255}};
  tasks::write_png(d.file("a.png"), picture);
  const auto read = tasks::read_png(d.file("a.png"));
  CHECK(read.width == 3);
  CHECK(read.height == 2);
  CHECK(read.pixels == picture.pixels);
  picture.pixels.pop_back();
  CHECK(message_of([&] { tasks::write_png(d.file("b.png"), picture); }) ==
        "PNG writer: found 5 pixels, expected 3 x 2");
  CHECK(!std::filesystem::exists(d.file("b.png")));
}
