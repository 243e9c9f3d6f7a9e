/// A text's segments as the trainer gets them.

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <support/files.hpp>
#include <tasks/common/byte_data.hpp>
#include <vector>

namespace {

/// Byte i is i + 1 modulo 251, so that a byte tells where it stands.
tasks::ByteText numbered(std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>((i + 1) % 251);
  return tasks::ByteText(std::move(bytes));
}

struct Examples {
  tasks::ByteData::Input x;
  std::vector<std::int32_t> targets;
};

bool reads_what_precedes(const Examples& e) {
  for (std::size_t i = 0; i < e.targets.size(); ++i)
    if (e.targets[i] >= 0 && e.targets[i] != (e.x.values()[i] + 1) % 251) return false;
  return true;
}

}  // namespace

TEST_CASE("each byte of a split is predicted once, from the one before it and its context in the split") {
  tasks::ByteData data(numbered(2000), 1, {.length = 30, .context = 45});
  for (const sma::Split split : {sma::Split::validation, sma::Split::test}) {
    const auto part = data.text().part(split);
    CHECK(data.size(split) == 4);  // 30 + 30 + 30 + 10
    std::vector<std::int32_t> predicted;
    for (sma::Index i = 0; i < 4; ++i) {
      Examples e;
      data.example(split, i, e.x, e.targets);
      const std::ptrdiff_t context = std::min<std::ptrdiff_t>(45, 30 * i);
      CHECK(e.x.count() == 1);
      CHECK(e.x.rows() == static_cast<sma::Index>(e.targets.size()));
      CHECK(std::count(e.targets.begin(), e.targets.end(), tasks::ByteData::ignored) == context);
      CHECK(reads_what_precedes(e));
      CHECK(e.x.values()[0] == data.text().before(part.begin + static_cast<std::size_t>(30 * i - context)));
      predicted.insert(predicted.end(), e.targets.begin() + context, e.targets.end());
    }
    const auto bytes = data.text().bytes().subspan(part.begin, part.size());
    CHECK(predicted == std::vector<std::int32_t>(bytes.begin(), bytes.end()));
  }
}

TEST_CASE("an epoch's training segments are disjoint and whole, in an order and from an offset of its own") {
  tasks::ByteData data(numbered(270), 3, {.length = 20});  // 244 train
  CHECK(data.training_size() == 11);
  std::set<std::int32_t> offsets;
  std::set<std::vector<std::int32_t>> orders;
  for (std::int64_t epoch = 0; epoch < 8; ++epoch) {
    Examples e;
    data.next(11, e.x, e.targets);
    CHECK(data.epoch() == epoch);
    CHECK(e.targets.size() == 220);
    CHECK(reads_what_precedes(e));
    std::vector<std::int32_t> starts;
    for (std::size_t i = 0; i < 220; i += 20) starts.push_back(e.targets[i]);
    orders.insert(starts);
    std::sort(starts.begin(), starts.end());
    for (std::size_t i = 1; i < starts.size(); ++i) CHECK(starts[i] - starts[i - 1] == 20);
    CHECK(starts.back() + 19 <= 244);
    offsets.insert(starts.front());
  }
  CHECK(orders.size() == 8);
  CHECK(offsets.size() > 3);
}

TEST_CASE("training segments are a function of seed, epoch and index") {
  tasks::ByteData data(numbered(1000), 3, {.length = 20});
  Examples skipped;
  data.next(100, skipped.x, skipped.targets);
  const std::int64_t epoch = data.epoch();
  const std::int64_t index = data.index();
  CHECK(epoch > 0);
  Examples after;
  data.next(60, after.x, after.targets);
  tasks::ByteData again(numbered(1000), 3, {.length = 20});
  again.seek(epoch, index);
  Examples same;
  again.next(60, same.x, same.targets);
  CHECK(same.targets == after.targets);
  tasks::ByteData other(numbered(1000), 4, {.length = 20});
  other.seek(epoch, index);
  Examples another;
  other.next(60, another.x, another.targets);
  CHECK(another.targets != after.targets);
}

TEST_CASE("a text shorter than a segment is one segment") {
  tasks::ByteData data(numbered(100), 1, {.length = 512, .context = 512});
  CHECK(data.training_size() == 1);
  CHECK(data.size(sma::Split::test) == 1);
  Examples e;
  data.next(2, e.x, e.targets);
  CHECK(e.x.count() == 2);
  CHECK(e.x.rows() == 180);
  CHECK(e.targets[90] == 1);
}

TEST_CASE("passages are shown as they are read, from places far from each other") {
  const tasks::ByteData data(numbered(20000), 1, {.length = 30});
  const auto part = data.text().part(sma::Split::test);
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    const tasks::ShownText passage = data.shown(sma::Split::test, i, 2, 300);
    REQUIRE(passage.tokens.size() == 300);
    REQUIRE(passage.characters.size() == 300);
    CHECK(passage.targets.empty());
    for (std::size_t t = 0; t < 300; ++t) {
      const std::uint8_t byte = data.text().bytes()[part.begin + 500 * i + t];
      CHECK(passage.tokens[t] == byte);
      const bool is_printed = byte >= ' ' && byte < 127;
      CHECK(passage.characters[t] == (byte == '\n' ? " "
                                      : is_printed ? std::string(1, static_cast<char>(byte))
                                                   : "\u00b7"));
    }
  }
  CHECK(data.shown(sma::Split::test, 1, 2, 100000).tokens.size() == 500);  // to the part's end
}
