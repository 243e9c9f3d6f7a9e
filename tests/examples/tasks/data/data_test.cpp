#include <doctest/doctest.h>
#include <png.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <support/files.hpp>
#include <tasks/common/training_data.hpp>
#include <tasks/data/aan.hpp>
#include <tasks/data/cifar.hpp>
#include <tasks/data/idx.hpp>
#include <tasks/data/imdb.hpp>
#include <tasks/data/listops.hpp>
#include <tasks/data/mega_text.hpp>
#include <tasks/data/pathfinder.hpp>
#include <tasks/data/png.hpp>

namespace {

/// One with files of data in it.
class Directory : public files::Directory {
 public:
  [[nodiscard]] std::string path(const std::string& name = "") const {
    return name.empty() ? files::Directory::path() : file(name);
  }
  void write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(file(name)).parent_path());
    files::put(file(name), content);
  }
  void write_gzip(const std::string& name, const std::string& content) const {
    const gzFile out = gzopen(file(name).c_str(), "wb");
    gzwrite(out, content.data(), static_cast<unsigned>(content.size()));
    gzclose(out);
  }
};

using files::message_of;
using files::says;

/// An IDX file of bytes 0, 1, 2, ... modulo 10.
std::string idx_bytes(std::vector<unsigned> extents) {
  std::string out{'\0', '\0', '\x08', static_cast<char>(extents.size())};
  std::size_t size = 1;
  for (const unsigned e : extents) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((e >> shift) & 0xFFU);
    size *= e;
  }
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>(i % 10);
  return out;
}

void write_idx_set(const Directory& d, unsigned train, unsigned test) {
  d.write_gzip("train-images-idx3-ubyte.gz", idx_bytes({train, 2, 3}));
  d.write_gzip("train-labels-idx1-ubyte.gz", idx_bytes({train}));
  d.write("t10k-images-idx3-ubyte", idx_bytes({test, 2, 3}));
  d.write("t10k-labels-idx1-ubyte", idx_bytes({test}));
}

/// The value of an expression, by a stack: independent of the generator's own recursion.
int evaluate(std::span<const std::int32_t> tokens) {
  std::vector<std::vector<int>> stack(1);
  std::vector<int> operators;
  for (const std::int32_t token : tokens) {
    if (token >= 1 && token <= 10) {
      stack.back().push_back(token - 1);
    } else if (token >= 11 && token <= 14) {
      operators.push_back(token);
      stack.emplace_back();
    } else {
      std::vector<int> a = stack.back();
      stack.pop_back();
      std::sort(a.begin(), a.end());
      int value = 0;
      if (operators.back() == 11) value = a.front();
      if (operators.back() == 12) value = a.back();
      if (operators.back() == 13) value = static_cast<int>((a[(a.size() - 1) / 2] + a[a.size() / 2]) / 2.0);
      if (operators.back() == 14)
        for (const int x : a) value = (value + x) % 10;
      operators.pop_back();
      stack.back().push_back(value);
    }
  }
  REQUIRE(stack.size() == 1);
  REQUIRE(stack[0].size() == 1);
  return stack[0][0];
}

}  // namespace

TEST_CASE(
    "an epoch's order is a permutation that seed and epoch alone decide, and it can be taken up anywhere") {
  tasks::ShuffledOrder order(10, 3);
  std::vector<std::size_t> drawn;
  for (int i = 0; i < 25; ++i) drawn.push_back(order.next());
  CHECK(std::set<std::size_t>(drawn.begin(), drawn.begin() + 10).size() == 10);
  CHECK(std::set<std::size_t>(drawn.begin() + 10, drawn.begin() + 20).size() == 10);
  CHECK(!std::equal(drawn.begin(), drawn.begin() + 10, drawn.begin() + 10));
  CHECK(order.epoch() == 2);
  CHECK(order.index() == 5);
  for (const int at : {0, 7, 10, 13}) {
    tasks::ShuffledOrder again(10, 3);
    for (int i = 0; i < at; ++i) again.next();
    tasks::ShuffledOrder resumed(10, 3);
    resumed.seek(again.epoch(), again.index());
    for (int i = at; i < 25; ++i) CHECK(resumed.next() == drawn[static_cast<std::size_t>(i)]);
  }
  tasks::ShuffledOrder other(10, 4);
  std::vector<std::size_t> others;
  for (int i = 0; i < 10; ++i) others.push_back(other.next());
  CHECK(!std::equal(others.begin(), others.end(), drawn.begin()));
  CHECK(says(message_of([&] { order.seek(0, 11); }), {"index 11", "up to 10"}));
}

TEST_CASE(
    "generated expressions have the benchmark's lengths, are distinct, and their labels are their values") {
  tasks::ListOpsOptions options;
  options.train = 3000;
  options.validation = 200;
  options.test = 200;
  const auto splits = tasks::generate_listops(1, options);
  std::set<std::vector<std::int32_t>> seen;
  double length = 0;
  std::array<int, 10> classes{};
  for (const auto* part : {&splits.train, &splits.validation, &splits.test})
    for (std::size_t i = 0; i < part->size(); ++i) {
      const auto tokens = part->sequence(i);
      REQUIRE(tokens.size() > 500);
      REQUIRE(tokens.size() < 2000);
      REQUIRE(evaluate(tokens) == part->label(i));
      seen.insert({tokens.begin(), tokens.end()});
      length += static_cast<double>(tokens.size());
      ++classes[static_cast<std::size_t>(part->label(i))];
    }
  CHECK(seen.size() == 3400);
  // 1035.02 is exact for the procedure, by its generating function; the standard error of 3,400 lengths is 6.8.
  CHECK(length / 3400 == doctest::Approx(1035.02).epsilon(0.02));
  CHECK(*std::max_element(classes.begin(), classes.end()) / 3400.0 == doctest::Approx(0.17).epsilon(0.15));
}

TEST_CASE("8.28 % of drawn trees have a length the benchmark keeps") {
  const tasks::ListOpsOptions options;
  tasks::SplitMix random(5);
  std::vector<std::int32_t> tokens;
  int kept = 0;
  constexpr int kDraws = 50000;
  for (int i = 0; i < kDraws; ++i) {
    tokens.clear();
    tasks::detail::draw_tree(random, options, 1, tokens);
    if (tokens.size() > options.shortest && tokens.size() < options.longest) ++kept;
  }
  CHECK(static_cast<double>(kept) / kDraws ==
        doctest::Approx(0.08276).epsilon(0.05));  // four standard errors
}

TEST_CASE("the generator refuses options that leave an operator without arguments") {
  tasks::ListOpsOptions options;
  options.most_arguments = 1;
  CHECK(says(message_of([&] { tasks::generate_listops(1, options); }), {"at most 1", "at least 2"}));
}

TEST_CASE("the generator is a function of its seed") {
  tasks::ListOpsOptions options;
  options.train = 50;
  options.validation = options.test = 5;
  const auto a = tasks::generate_listops(1, options);
  const auto b = tasks::generate_listops(1, options);
  const auto c = tasks::generate_listops(2, options);
  CHECK(std::equal(a.train.sequence(7).begin(), a.train.sequence(7).end(), b.train.sequence(7).begin(),
                   b.train.sequence(7).end()));
  CHECK(!std::equal(a.train.sequence(7).begin(), a.train.sequence(7).end(), c.train.sequence(7).begin(),
                    c.train.sequence(7).end()));
}

TEST_CASE("ListOps files have the owners' format and read back") {
  const Directory d;
  tasks::ListOpsOptions options;
  options.train = 20;
  options.validation = options.test = 5;
  const auto written = tasks::generate_listops(1, options);
  tasks::write_listops(written, d.path());
  const auto read = tasks::read_listops(d.path());
  REQUIRE(read.train.size() == 20);
  for (std::size_t i = 0; i < 20; ++i) {
    CHECK(read.train.label(i) == written.train.label(i));
    CHECK(std::equal(read.train.sequence(i).begin(), read.train.sequence(i).end(),
                     written.train.sequence(i).begin(), written.train.sequence(i).end()));
  }
  const std::vector<std::int32_t> nested{11, 12, 3, 10, 15, 4, 15};
  CHECK(tasks::detail::source_text(nested) == "( ( ( [MIN ( ( ( [MAX 2 ) 9 ) ] ) ) 3 ) ] )");
  CHECK(tasks::detail::source_text(std::vector<std::int32_t>{8}) == "7");
}

TEST_CASE("a malformed ListOps line is named by file and line") {
  const Directory d;
  const std::string header = "Source\tTarget\n";
  const auto error = [&](const std::string& content) {
    d.write("x.tsv", content);
    return message_of([&] { tasks::read_listops_file(d.path("x.tsv")); });
  };
  CHECK(says(error("source,target\n"), {"x.tsv:1", "source,target", "header"}));
  CHECK(says(error(header + "( [MAX 2 ) ]\n"), {"x.tsv:2", "tab"}));
  CHECK(says(error(header + "[MAX 2 ]\t2\n[MAX 2 ]\t12\n"), {"x.tsv:3", "'12'", "a digit"}));
  CHECK(says(error(header + "[AVG 2 ]\t2\n"), {"x.tsv:2", "[AVG", "operator"}));
  CHECK(says(error(header + "( )\t2\n"), {"x.tsv:2", "empty source"}));
  CHECK(says(error(header + "( [MAX 2 ) [MIN 3\t3\n"), {"x.tsv:2", "inside 2 open operators", "']'"}));
  CHECK(says(error(header + "[MAX 2 3 ] ]\t3\n"), {"x.tsv:2", "']' after the expression"}));
  CHECK(says(error(header + "1 2\t1\n"), {"x.tsv:2", "'2' after the expression"}));
  CHECK(says(error(header + "]\t1\n"), {"x.tsv:2", "without an operator"}));
  CHECK(says(error(header + "[MAX 2 [SM ] ]\t1\n"), {"x.tsv:2", "'[SM' without arguments"}));
  CHECK(says(error(header), {"x.tsv", "header alone", "at least one"}));
  CHECK(says(error(""), {"x.tsv", "empty file"}));
  CHECK(says(message_of([&] { tasks::read_listops_file(d.path("absent.tsv")); }),
             {"absent.tsv", "cannot be read"}));
}

TEST_CASE("line ends, a byte order mark and a missing last line end change nothing") {
  const Directory d;
  const std::string plain = "Source\tTarget\n( [MAX 2 ) 9 ]\t9\n5\t5\n";
  std::string dos;
  for (const char c : plain) dos += c == '\n' ? std::string("\r\n") : std::string(1, c);
  for (const std::string& content : {plain, dos, "\xef\xbb\xbf" + plain, "\xef\xbb\xbf" + dos,
                                     plain.substr(0, plain.size() - 1), dos.substr(0, dos.size() - 2)}) {
    d.write("x.tsv", content);
    const auto read = tasks::read_listops_file(d.path("x.tsv"));
    CHECK(read.size() == 2);
    CHECK(read.label(0) == 9);
    CHECK(read.sequence(0).size() == 4);
  }
  for (const std::string end : {"\n", "\r\n"})
    for (const std::string& last : {std::string(), end})
      for (const std::string mark : {"", "\xef\xbb\xbf"}) {
        for (const char* split : {"train", "valid", "test"}) {
          d.write(std::string("input/") + split + ".src", mark + "0 255 7" + end + "1 2 3" + last);
          d.write(std::string("label/") + split + ".label", mark + "4" + end + " 9 " + last);
        }
        const auto splits = tasks::read_mega_pictures(d.path());
        CHECK(splits.test.size() == 2);
        CHECK(splits.test.sequence(1)[2] == 3);
        CHECK(splits.test.label(1) == 9);
      }
}

TEST_CASE("bytes that are no text are shown escaped, whole, and named for what they are") {
  using namespace std::string_literals;
  const Directory d;
  const auto error = [&](const std::string& content) {
    d.write("x.tsv", content);
    return message_of([&] { tasks::read_listops_file(d.path("x.tsv")); });
  };
  const std::string header = "Source\tTarget\n";
  const auto utf16 = [](const std::string& text, bool big) {
    std::string out;
    for (const char c : text) out += big ? "\0"s + c : c + "\0"s;
    return out;
  };
  CHECK(says(error("\x1f\x8b\x08\x00\x00more\n"s),
             {"x.tsv:1: found '\\x1f\\x8b\\x08\\x00\\x00more', expected", "(is the file gzip-compressed?)"}));
  CHECK(says(error("PK\x03\x04..."s), {"(is the file an archive?)"}));
  CHECK(says(error("<!DOCTYPE html>"), {"'<!DOCTYPE html>'", "(is the file a web page?)"}));
  CHECK(says(error("\xff\xfe"s + utf16(header, false)),
             {"found '\\xff\\xfeS\\x00o\\x00", "(is the file UTF-16?)"}));
  CHECK(says(error("\xfe\xff"s + utf16(header, true)), {"'\\xfe\\xff\\x00S\\x00o", "(is the file UTF-16?)"}));
  CHECK(says(error(utf16(header, false)), {"(is the file UTF-16?)"}));
  CHECK(says(error("Source\0\tTarget\n"s), {"'Source\\x00\\x09Target'", "(zero bytes: "}));
  CHECK(says(error(header + "[MAX 2 3\0 ]\t3\n"s),
             {"x.tsv:2: found '3\\x00'", "expected a digit, ", "(zero bytes: "}));
  CHECK(says(error(header + "\xef\xbb\xbf" + header), {"x.tsv:2", "'Target'", "(a byte order mark inside"}));
  // Found and expected differ for the eye.
  CHECK(says(error("Source Target\n"), {"found 'Source Target', expected the header 'Source\\x09Target'"}));
  CHECK(says(error("Source\tTarget \n"),
             {"found 'Source\\x09Target '", "expected the header 'Source\\x09Target' ("}));
  CHECK(says(error("Source\tTarget\xc2\xa0\n"), {"found 'Source\\x09Target\\xc2\\xa0'"}));
  CHECK(says(error(header + "[MAX 2 3 ]  3\n"), {"x.tsv:2: found '[MAX 2 3 ]  3' with 0 tabs"}));
  CHECK(says(error(header + "[MAX 2 3 ]\t3\x1b[31m\n"), {"target '3\\x1b[31m'", "a digit"}));
  CHECK(says(error(header + std::string(100, 'x') + "\t3\n"), {std::string(40, 'x') + "'...", "expected"}));
  CHECK(says(message_of([&] { tasks::read_listops_file(d.path()); }),
             {"found a directory, expected a ListOps TSV file"}));
  CHECK(says(message_of([&] { tasks::read_listops_file(d.path("a\nb")); }),
             {"a\\x0ab: cannot be read (No such file"}));

  for (const char* split : {"train", "valid", "test"}) {
    d.write(std::string("input/") + split + ".src", "0 255 7\n");
    d.write(std::string("label/") + split + ".label", "4\n");
  }
  const auto mega = [&](const std::string& name, const std::string& content) {
    d.write(name, content);
    return message_of([&] { tasks::read_mega_pictures(d.path()); });
  };
  CHECK(says(mega("label/train.label", "4\0\n"s),
             {"train.label:1: found '4\\x00', expected an integer 0 to 9", "(zero bytes"}));
  CHECK(says(mega("label/train.label",
                  "\xff\xfe"
                  "4\0\n\0"s),
             {"'\\xff\\xfe4\\x00'", "(is the file UTF-16?)"}));
  CHECK(says(mega("input/train.src", "\x1f\x8b\x08\n"s),
             {"train.src:1: found '\\x1f\\x8b\\x08'", "(is the file gzip-compressed?)"}));
}

TEST_CASE("IDX pictures read back, plain and gzip, with a validation part") {
  const Directory d;
  write_idx_set(d, 24, 5);
  const auto splits = tasks::read_idx_pictures(d.path());
  CHECK(splits.train.size() == 20);
  CHECK(splits.validation.size() == 4);
  CHECK(splits.test.size() == 5);
  CHECK(splits.train.sequence(1).size() == 6);
  CHECK(splits.train.sequence(1)[0] == 6);
  CHECK(splits.validation.label(0) == 0);
  CHECK(splits.test.label(3) == 3);
}

TEST_CASE("a damaged IDX file is named with what was found and expected") {
  const Directory d;
  const auto error = [&](const char* name, const std::string& content) {
    std::filesystem::remove(d.path("train-images-idx3-ubyte"));
    std::filesystem::remove(d.path("train-labels-idx1-ubyte"));
    write_idx_set(d, 24, 5);
    std::filesystem::remove(d.path(std::string(name) + ".gz"));
    d.write(name, content);
    return message_of([&] { tasks::read_idx_pictures(d.path()); });
  };
  const std::string images = idx_bytes({24, 2, 3});
  CHECK(says(error("train-images-idx3-ubyte", images.substr(0, 9)),
             {"train-images", "found 9 bytes", "header of 16"}));
  CHECK(says(error("train-images-idx3-ubyte", images.substr(0, 100)),
             {"found 84 bytes of data", "expected 144"}));
  CHECK(says(error("train-images-idx3-ubyte", images + "x"), {"found 145 bytes of data", "expected 144"}));
  CHECK(says(error("train-images-idx3-ubyte", idx_bytes({24})), {"magic 0,0,8,1", "expected 0,0,8,3"}));
  CHECK(says(error("train-labels-idx1-ubyte", idx_bytes({23})), {"found 23 labels", "expected 24"}));
  std::string labels = idx_bytes({24});
  labels[12] = 11;
  CHECK(says(error("train-labels-idx1-ubyte", labels), {"label 4", "found 11", "expected 0 to 9"}));
  std::string huge = images;
  huge[4] = huge[8] = huge[12] = '\x7F';
  CHECK(says(error("train-images-idx3-ubyte", huge), {"found 144 bytes of data"}));
  CHECK(says(error("train-images-idx3-ubyte", idx_bytes({24, 0, 3})), {"extent 0 in dimension 1"}));
  CHECK(says(error("train-images-idx3-ubyte", idx_bytes({24, 4, 3})),
             {"t10k-images", "found images of 2 x 3", "expected 4 x 3"}));

  write_idx_set(d, 24, 5);
  std::filesystem::remove(d.path("train-images-idx3-ubyte"));
  std::filesystem::remove(d.path("train-labels-idx1-ubyte"));
  std::filesystem::resize_file(d.path("train-images-idx3-ubyte.gz"), 40);
  CHECK(says(message_of([&] { tasks::read_idx_pictures(d.path()); }),
             {"train-images-idx3-ubyte.gz", "cut short"}));
  std::filesystem::remove(d.path("train-images-idx3-ubyte.gz"));
  CHECK(says(message_of([&] { tasks::read_idx_pictures(d.path()); }),
             {"train-images-idx3-ubyte", "not found"}));
}

TEST_CASE("an IDX file of other elements than bytes is refused, and what it may be is said") {
  using namespace std::string_literals;
  const Directory d;
  write_idx_set(d, 24, 5);
  std::filesystem::remove(d.path("train-images-idx3-ubyte.gz"));
  const auto error = [&](const std::string& content) {
    d.write("train-images-idx3-ubyte", content);
    return message_of([&] { tasks::read_idx_pictures(d.path()); });
  };
  const std::string images = idx_bytes({24, 2, 3});
  for (const char type : {'\x09', '\x0b', '\x0c', '\x0d', '\x0e', '\0'}) {
    std::string other = images;
    other[2] = type;
    CHECK(
        says(error(other), {"magic 0,0," + std::to_string(type) + ",3", "expected 0,0,8,3 (unsigned bytes"}));
  }
  for (const std::size_t at : {0U, 1U}) {
    std::string other = images;
    other[at] = 1;
    CHECK(says(error(other), {"magic", "expected 0,0,8,3"}));
  }
  CHECK(says(error("\x03\x08\0\0"s + images.substr(4)),
             {"magic 3,8,0,0", "(are the bytes in reverse order?)"}));
  CHECK(says(error("<html> this is not what you are looking for"),
             {"magic 60,104", "(is the file a web page?)"}));
  d.write_gzip("twice.gz", images);
  std::ifstream packed(d.path("twice.gz"), std::ios::binary);
  const std::string once{std::istreambuf_iterator<char>(packed), {}};
  std::filesystem::remove(d.path("train-images-idx3-ubyte"));
  d.write_gzip("train-images-idx3-ubyte.gz", once);
  CHECK(says(message_of([&] { tasks::read_idx_pictures(d.path()); }), {"(is the file compressed twice?)"}));
}

TEST_CASE("at most 5,000 training pictures validate, the last ones") {
  const Directory d;
  d.write("t10k-images-idx3-ubyte", idx_bytes({5, 1, 1}));
  d.write("t10k-labels-idx1-ubyte", idx_bytes({5}));
  for (const unsigned count : {29994U, 30000U, 30006U, 36000U}) {
    d.write("train-images-idx3-ubyte", idx_bytes({count, 1, 1}));
    d.write("train-labels-idx1-ubyte", idx_bytes({count}));
    const auto splits = tasks::read_idx_pictures(d.path());
    const std::size_t kept = std::min<std::size_t>(5000, count / 6);
    CHECK(splits.validation.size() == kept);
    CHECK(splits.train.size() == count - kept);
    CHECK(splits.validation.label(0) == static_cast<std::int32_t>((count - kept) % 10));
  }
}

TEST_CASE("the hash of a data set changes with any value, label, or border of sequences") {
  const auto of = [](std::vector<std::vector<std::int32_t>> train, std::int32_t label, std::int32_t test) {
    tasks::Splits<std::int32_t> splits;
    for (const auto& sequence : train) splits.train.append(sequence, label);
    splits.validation.append(std::vector<std::int32_t>{1}, 0);
    splits.test.append(std::vector<std::int32_t>{1}, test);
    return tasks::hash(splits);
  };
  const std::set<std::uint64_t> hashes{
      of({{1, 2}, {3}}, 0, 0), of({{1}, {2, 3}}, 0, 0), of({{1, 2, 3}}, 0, 0),  of({{1, 2}, {4}}, 0, 0),
      of({{1, 2}, {3}}, 1, 0), of({{1, 2}, {3}}, 0, 1), of({{2, 1}, {3}}, 0, 0)};
  CHECK(hashes.size() == 7);
  CHECK(of({{1, 2}, {3}}, 0, 0) == of({{1, 2}, {3}}, 0, 0));
  CHECK(tasks::hash_text(0x0123456789abcdefU) == "0123456789abcdef");
}

TEST_CASE("CIFAR-10 batches become grey pictures") {
  const Directory d;
  std::string record(1, '\x03');
  record += std::string(1024, '\xFF') + std::string(1024, '\0') + std::string(1024, '\0');
  for (int b = 1; b <= 5; ++b) d.write("data_batch_" + std::to_string(b) + ".bin", record + record);
  d.write("test_batch.bin", record);
  const auto splits = tasks::read_cifar(d.path());
  CHECK(splits.train.size() == 9);
  CHECK(splits.validation.size() == 1);
  CHECK(splits.test.size() == 1);
  CHECK(splits.test.label(0) == 3);
  CHECK(splits.test.sequence(0)[1023] == 76);  // 0.299 * 255
  d.write("test_batch.bin", record.substr(1));
  CHECK(says(message_of([&] { tasks::read_cifar(d.path()); }),
             {"test_batch.bin", "found 3072 bytes", "multiple of 3073"}));
  d.write("test_batch.bin", "\x1f\x8b packed");
  CHECK(says(message_of([&] { tasks::read_cifar(d.path()); }), {"(is the file gzip-compressed?)"}));
  record[0] = 10;
  d.write("test_batch.bin", record);
  CHECK(says(message_of([&] { tasks::read_cifar(d.path()); }), {"record 0", "found label 10"}));
}

TEST_CASE("a folder where a file should be is said, and so is a name with a line's end") {
  const Directory d;
  for (int b = 1; b <= 5; ++b) d.write("data_batch_" + std::to_string(b) + ".bin", std::string(3073, '\3'));
  std::filesystem::create_directories(d.path("test_batch.bin"));
  CHECK(says(message_of([&] { tasks::read_cifar(d.path()); }),
             {"test_batch.bin: found a directory", "expected a CIFAR-10 binary batch"}));

  const Directory parent;
  std::filesystem::create_directories(parent.path("a\nb"));
  const std::string root = parent.path("a\nb");
  const auto message = [&] { return message_of([&] { tasks::read_idx_pictures(root); }); };
  std::filesystem::create_directories(root + "/train-images-idx3-ubyte");
  files::put(root + "/train-labels-idx1-ubyte", idx_bytes({24}));
  CHECK(says(message(), {"a\\x0ab/train-images-idx3-ubyte: found a directory", "expected an IDX file"}));
  std::filesystem::remove(root + "/train-images-idx3-ubyte");
  files::put(root + "/train-images-idx3-ubyte", idx_bytes({23, 2, 3}));
  CHECK(says(message(), {"found 24 labels", "each image of " + parent.path("a\\x0ab/train-images")}));
  files::put(root + "/train-labels-idx1-ubyte", idx_bytes({23}));
  files::put(root + "/t10k-images-idx3-ubyte", idx_bytes({1, 3, 3}));
  files::put(root + "/t10k-labels-idx1-ubyte", idx_bytes({1}));
  CHECK(says(message(), {"found images of 3 x 3", "as in " + parent.path("a\\x0ab/train-images")}));
  const std::string bad_block("\x1f\x8b\x08\0\0\0\0\0\0\3\7", 11);
  files::put(root + "/t10k-images-idx3-ubyte", bad_block);
  CHECK(says(message(),
             {"a\\x0ab/t10k-images-idx3-ubyte: unpacking failed after 0 bytes: invalid block type"}));
}

TEST_CASE("MEGA's text form reads, and a bad line is named") {
  const Directory d;
  for (const char* split : {"train", "valid", "test"}) {
    d.write(std::string("input/") + split + ".src", "0 255 7\n1 2 3\n");
    d.write(std::string("label/") + split + ".label", "4\n9\n");
  }
  const auto splits = tasks::read_mega_pictures(d.path());
  CHECK(splits.validation.size() == 2);
  CHECK(splits.train.sequence(0)[1] == 255);
  CHECK(splits.test.label(1) == 9);
  const auto error = [&](const std::string& name, const std::string& content) {
    d.write(name, content);
    return message_of([&] { tasks::read_mega_pictures(d.path()); });
  };
  CHECK(says(error("input/train.src", "0 1\n0 256\n"), {"train.src:2", "'256'", "0 to 255"}));
  CHECK(says(error("input/train.src", "0 1\n\n"), {"train.src:2", "empty line"}));
  CHECK(says(error("input/train.src", "0 1\n0 x\n"), {"train.src:2", "'x'"}));
  CHECK(says(error("input/train.src", "0 1\n2\n"), {"train.src:2", "found 1 pixels", "expected 2"}));
  CHECK(says(error("input/train.src", ""), {"train.src", "empty file"}));
  d.write("input/train.src", "0 1\n2 3\n");
  CHECK(says(error("label/train.label", "4\n"), {"train.label", "found 1 labels"}));
  CHECK(says(error("label/train.label", "4\n5\n6\n"), {"more than 2 labels"}));
  CHECK(says(error("label/train.label", "4\n5\n\n6\n"), {"more than 2 labels"}));
  CHECK(says(error("label/train.label", "4\nten\n"), {"train.label:2", "'ten'"}));
}

namespace {

void write_reviews(const Directory& d, int training) {
  for (const std::string label : {"pos", "neg"}) {
    for (int i = 0; i < training; ++i)
      d.write("train/" + label + "/" + std::to_string(i) + "_7.txt", label + std::to_string(i));
    d.write("test/" + label + "/0_1.txt", std::string(5000, 'x') + "\xff");
  }
}

}  // namespace

TEST_CASE("reviews are bytes and a label, every tenth of the training ones validates") {
  const Directory d;
  write_reviews(d, 10);
  d.write("train/pos/README", "not a review");
  const auto splits = tasks::read_imdb(d.path());
  CHECK(splits.train.size() == 18);
  REQUIRE(splits.validation.size() == 2);
  CHECK(splits.validation.label(0) == 0);
  const auto last = splits.validation.sequence(1);
  CHECK(splits.validation.label(1) == 1);
  CHECK(std::string(last.begin(), last.end()) == "pos9");
  REQUIRE(splits.test.size() == 2);
  CHECK(splits.test.sequence(0).size() == 4000);
  const auto whole = tasks::read_imdb(d.path(), 6000).test;
  REQUIRE(whole.sequence(0).size() == 5001);
  CHECK(tasks::ByteToken{}(whole.sequence(0)[5000]) == 256);
}

TEST_CASE("what is wrong with reviews is said") {
  const Directory d;
  CHECK(says(message_of([&] { tasks::read_imdb(d.path()); }),
             {"train/neg", "cannot be read", "aclImdb", "train/pos"}));
  write_reviews(d, 9);
  CHECK(says(message_of([&] { tasks::read_imdb(d.path()); }),
             {"found 18 training reviews", "a tenth validates"}));
  d.write("train/neg/9_7.txt", "");
  CHECK(says(message_of([&] { tasks::read_imdb(d.path()); }),
             {"train/neg/9_7.txt", "found an empty file", "a review's text"}));
  d.write("train/neg/9_7.txt", "\x1f\x8b and so on");
  CHECK(says(message_of([&] { tasks::read_imdb(d.path()); }), {"train/neg/9_7.txt", "gzip"}));
  std::filesystem::remove(d.path("train/neg/9_7.txt"));
  std::filesystem::create_directories(d.path("train/neg/9_7.txt"));
  CHECK(says(message_of([&] { tasks::read_imdb(d.path()); }), {"train/neg/9_7.txt", "found a directory"}));
}

TEST_CASE("pairs of papers are two sequences with one label") {
  const Directory d;
  d.write("new_aan_pairs.train.tsv", "1.0\tA\tB\tone text\tanother\r\n0\tC\tD\tx\t\"y\"");
  d.write("new_aan_pairs.eval.tsv",
          "\xef\xbb\xbf"
          "0.0\tA\tB\tx\ty\n");
  d.write("new_aan_pairs.test.tsv", "1\tA\tB\tx\ty\n");
  const auto splits = tasks::read_aan(d.path(), 7);
  REQUIRE(splits.train.size() == 4);
  const auto text = [&](std::size_t i) {
    const auto bytes = splits.train.sequence(i);
    return std::string(bytes.begin(), bytes.end());
  };
  CHECK(text(0) == "one tex");
  CHECK(text(1) == "another");
  CHECK(text(3) == "\"y\"");
  CHECK(splits.train.label(0) == 1);
  CHECK(splits.train.label(1) == 1);
  CHECK(splits.train.label(3) == 0);

  tasks::TrainingData<std::uint8_t, sma::Token, tasks::ByteToken, 2> data(splits, 1);
  CHECK(data.training_size() == 2);
  CHECK(data.size(sma::Split::test) == 1);
  sma::Batch<sma::Token, 1> x;
  std::vector<std::int32_t> targets;
  data.next(2, x, targets);
  CHECK(x.count() == 4);
  CHECK(targets.size() == 2);
  CHECK(targets[0] + targets[1] == 1);
}

TEST_CASE("what is wrong with pairs of papers is said") {
  const Directory d;
  const std::string good = "1\tA\tB\tx\ty\n";
  d.write("new_aan_pairs.eval.tsv", good);
  d.write("new_aan_pairs.test.tsv", good);
  const auto message = [&](const std::string& content) {
    d.write("new_aan_pairs.train.tsv", content);
    return message_of([&] { tasks::read_aan(d.path()); });
  };
  CHECK(says(message(good + "1\tA\tB\tx\n"), {"new_aan_pairs.train.tsv:2", "with 3 tabs", "label, tab"}));
  CHECK(says(message("2\tA\tB\tx\ty\n"), {":1", "label '2'", "0 or 1"}));
  CHECK(says(message(good + "1\tA\tB\tx\t\n"), {":2", "an empty text of 'B'"}));
  CHECK(says(message(""), {"found an empty file"}));
  CHECK(says(message("\x1f\x8b and so on"), {"gzip"}));
  std::filesystem::remove(d.path("new_aan_pairs.train.tsv"));
  CHECK(says(message_of([&] { tasks::read_aan(d.path()); }), {"new_aan_pairs.train.tsv", "cannot be read"}));
}

namespace {

/// A picture of side x side pixels of one value, grey or of three equal colours.
void write_png(const Directory& d, const std::string& name, unsigned side, std::uint8_t value,
               bool colours = false) {
  d.write(name, "");
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = image.height = side;
  image.format = colours ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  const std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image), value);
  REQUIRE(png_image_write_to_file(&image, d.path(name).c_str(), 0, pixels.data(), 0, nullptr) != 0);
}

/// `count` pictures whose value is their number, labels 0 and 1 in turns.
void write_paths(const Directory& d, const std::string& root, unsigned count) {
  std::string lines;
  for (unsigned i = 0; i < count; ++i) {
    const std::string file = "sample_" + std::to_string(i) + ".png";
    write_png(d, root + "imgs/0/" + file, 4, static_cast<std::uint8_t>(i), i == 3);
    lines += "imgs/0 " + file + " " + std::to_string(i) + " " + std::to_string(i % 2) + " 1.8 6 14\n";
  }
  d.write(root + "metadata/0.npy", lines);
}

}  // namespace

TEST_CASE("paths are pictures and a label, of ten one validates and one tests") {
  for (const std::string root : {"", "curv_contour_length_14/"}) {
    const Directory d;
    write_paths(d, root, 12);
    const auto splits = tasks::read_pathfinder(d.path(), 4);
    CHECK(splits.train.size() == 10);
    REQUIRE(splits.validation.size() == 1);
    REQUIRE(splits.test.size() == 1);
    CHECK(splits.validation.sequence(0).size() == 16);
    CHECK(splits.validation.sequence(0)[15] == 8);
    CHECK(splits.train.sequence(3)[0] == 3);  // in colours
    CHECK(splits.train.label(3) == 1);
    CHECK(splits.train.sequence(8)[0] == 10);
  }
}

TEST_CASE("text files of paths are read in the order of their numbers") {
  const Directory d;
  write_paths(d, "", 10);
  d.write("metadata/10.npy", "imgs/0 sample_1.png 0 1\n");
  d.write("metadata/9.npy", "imgs/0 sample_0.png 0 0\n\n");
  const auto splits = tasks::read_pathfinder(d.path(), 4);
  REQUIRE(splits.train.size() == 10);
  CHECK(splits.train.sequence(8)[0] == 0);
  CHECK(splits.train.sequence(9)[0] == 1);
}

TEST_CASE("what is wrong with paths is said") {
  const Directory d;
  const auto message = [&] { return message_of([&] { tasks::read_pathfinder(d.path(), 4); }); };
  CHECK(says(message(), {"metadata", "cannot be read", "imgs/K/sample_I.png"}));
  write_paths(d, "", 9);
  CHECK(says(message(), {"found 9 pictures", "at least 10"}));
  const auto with_line = [&](const std::string& line) {
    d.write("metadata/1.npy", line + "\n");
    return message();
  };
  CHECK(says(with_line("imgs/0 sample_0.png 1"), {"metadata/1.npy:1", "folder, file, number and label"}));
  CHECK(says(with_line("imgs/0 sample_0.png 1 2"), {"metadata/1.npy:1", "label '2'", "0 or 1"}));
  for (const std::string line : {"../0 sample_0.png 1 1", "imgs/0 ../../x.png 1 1", "/imgs sample_0.png 1 1"})
    CHECK(says(with_line(line), {"metadata/1.npy:1", "expected a path inside the data set"}));
  CHECK(says(with_line("imgs/0 /dev/zero 1 1"), {"found '/dev/zero', expected a path inside the data set"}));
  CHECK(says(with_line("imgs/0 sample_77.png 1 1"), {"sample_77.png", "expected a PNG file"}));
  d.write("imgs/0/text.png", "not a picture");
  CHECK(says(with_line("imgs/0 text.png 1 1"), {"text.png", "expected a PNG file"}));
  write_png(d, "imgs/0/large.png", 5, 0);
  CHECK(says(with_line("imgs/0 large.png 1 1"), {"metadata/1.npy:1", "5 x 5 pixels", "4 x 4"}));
  const std::string whole = files::content_of(d.path("imgs/0/large.png"));
  d.write("imgs/0/short.png", whole.substr(0, whole.size() / 2));
  CHECK(says(with_line("imgs/0 short.png 1 1"), {"short.png", "expected a PNG file"}));
}
