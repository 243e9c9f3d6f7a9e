/// Texts of bytes: how a file is read and cut into parts.

#include <doctest/doctest.h>
#include <zlib.h>

#include <filesystem>
#include <string>
#include <support/files.hpp>
#include <tasks/data/bytes.hpp>

namespace {

using files::message_of;

void put_gzip(const std::string& path, const std::string& content) {
  const gzFile out = gzopen(path.c_str(), "wb");
  gzwrite(out, content.data(), static_cast<unsigned>(content.size()));
  gzclose(out);
}

bool says(const std::string& message, std::initializer_list<std::string> words) {
  bool all = message.find('\n') == std::string::npos;
  for (const std::string& word : words) all = all && message.find(word) != std::string::npos;
  if (!all) MESSAGE(message);
  return all;
}

std::string text_of(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += static_cast<char>(i * i % 251);
  return text;
}

}  // namespace

TEST_CASE("a file of bytes is itself, plain and gzip, whatever the bytes are") {
  const files::Directory d;
  const std::string text = text_of(200'001);
  files::put(d.file("a.txt"), text);
  put_gzip(d.file("a.txt.gz"), text);
  const auto plain = tasks::read_bytes(d.file("a.txt"));
  CHECK(std::string(plain.bytes().begin(), plain.bytes().end()) == text);
  const auto packed = tasks::read_bytes(d.file("a.txt.gz"));
  CHECK(std::string(packed.bytes().begin(), packed.bytes().end()) == text);
  CHECK(packed.fingerprint() == plain.fingerprint());
  CHECK(plain.fingerprint().starts_with("180001 + 10000 + 10000 bytes, "));
}

TEST_CASE("90 % of a text train, 5 % validate, 5 % test, in this order, and each byte has one before it") {
  const tasks::ByteText text(std::vector<std::uint8_t>(1039, 7));
  CHECK(text.train().begin == 0);
  CHECK(text.train().end == 937);
  CHECK(text.part(sma::Split::validation).begin == 937);
  CHECK(text.part(sma::Split::validation).end == 988);
  CHECK(text.part(sma::Split::test).begin == 988);
  CHECK(text.part(sma::Split::test).end == 1039);
  CHECK(text.before(0) == 0);
  CHECK(text.before(1) == 7);
}

TEST_CASE("a text's fingerprint changes with any byte") {
  std::vector<std::uint8_t> bytes(100, 7);
  const std::string before = tasks::ByteText(bytes).fingerprint();
  bytes[99] = 8;
  CHECK(tasks::ByteText(bytes).fingerprint() != before);
  bytes[99] = 7;
  CHECK(tasks::ByteText(bytes).fingerprint() == before);
}

TEST_CASE("what is wrong with a file of bytes is said") {
  const files::Directory d;
  const auto message = [&](const std::string& name) {
    return message_of([&] { tasks::read_bytes(d.file(name)); });
  };
  const std::string owner = "100,000,000 bytes (mattmahoney.net/dc/enwik8.zip";
  CHECK(says(message("enwik8"), {"enwik8: cannot be read (No such file", "expected", owner}));
  CHECK(says(message(""), {"found a directory", owner}));
  files::put(d.file("empty"), "");
  CHECK(says(message("empty"), {"empty: found 0 bytes", owner}));
  files::put(d.file("short"), std::string(99, 'a'));
  CHECK(says(message("short"), {"short: found 99 bytes", "at least 100"}));
  files::put(d.file("enwik8"), std::string(1000, 'a'));
  CHECK(says(message("enwik8"), {"enwik8: found 1000 bytes", owner}));
  files::put(d.file("enwik8.zip"), "PK\x03\x04" + std::string(1000, 'a'));
  CHECK(says(message("enwik8.zip"), {"found 'PK\\x03\\x04'...", "unpacked", "(is the file an archive?)"}));
  put_gzip(d.file("once"), text_of(1000));
  put_gzip(d.file("twice.gz"), files::content_of(d.file("once")));
  CHECK(says(message("twice.gz"), {"found '\\x1f\\x8b", "(is the file gzip-compressed?)"}));
  const std::string torn = files::content_of(d.file("once"));
  files::put(d.file("torn.gz"), torn.substr(0, torn.size() / 2));
  CHECK(says(message("torn.gz"), {"torn.gz: unpacking failed after", "the file is cut short"}));
}
