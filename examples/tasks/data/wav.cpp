#include <sndfile.h>

#include <array>
#include <filesystem>
#include <memory>
#include <sma/base/text.hpp>
#include <string_view>
#include <tasks/data/text.hpp>
#include <tasks/data/wav.hpp>

namespace tasks {

namespace {

/// What is wrong with the sizes that a WAV file of `size` bytes says of itself, "" when nothing: libsndfile reads what is there of a chunk that
/// is cut short, and says nothing.
std::string fault_of_chunks(std::ifstream& file, std::uint64_t size) {
  std::array<char, 12> head{};
  const auto number_at = [&](std::size_t i) {
    std::uint64_t number = 0;
    for (std::size_t k = 4; k-- > 0;) number = number << 8 | static_cast<std::uint8_t>(head[i + k]);
    return number;
  };
  if (size == 0) return "an empty file";
  file.read(head.data(), head.size());
  const std::string_view start(head.data(), static_cast<std::size_t>(file.gcount()));
  if (start.size() < head.size() || start.substr(0, 4) != "RIFF" || start.substr(8) != "WAVE")
    return excerpt(start) + " at its start, no WAV file" + likely_mistake(start);
  const std::uint64_t end = 8 + number_at(4);
  if (end > size)
    return std::to_string(size) + " bytes where its header says " + std::to_string(end) +
           " (is the file cut short?)";
  bool has_data = false;
  for (std::uint64_t at = 12; at + 8 <= end;) {
    file.seekg(static_cast<std::streamoff>(at));
    file.read(head.data(), 8);
    const std::string name = excerpt({head.data(), 4});
    has_data = has_data || name == "'data'";
    at += 8 + number_at(4);
    if (at > end)
      return "a chunk " + name + " of " + std::to_string(number_at(4)) + " bytes, " +
             std::to_string(at - end) + " more than there are (is the file damaged?)";
    at += at % 2;
  }
  return has_data ? "" : "no chunk 'data' in the " + std::to_string(end) + " bytes of its header's size";
}

}  // namespace

std::vector<std::int16_t> read_wav(const std::string& path, int rate, const std::string& expected) {
  const auto fail = [&](const std::string& found) {
    throw sma::Error(sma::one_line(path) + ": found " + found + ", expected " + expected);
  };
  std::ifstream bytes = open_file(path, expected);
  const std::string fault = fault_of_chunks(bytes, std::filesystem::file_size(path));
  if (!fault.empty()) fail(fault);

  SF_INFO info{};
  const std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> file(sf_open(path.c_str(), SFM_READ, &info), sf_close);
  if (!file) fail("no sound (" + sma::one_line(sf_strerror(nullptr)) + ")");
  if ((info.format & SF_FORMAT_SUBMASK) != SF_FORMAT_PCM_16) fail("samples that are not of 16 bit");
  if (info.channels != 1) fail(std::to_string(info.channels) + " channels");
  if (info.samplerate != rate) fail(std::to_string(info.samplerate) + " samples a second");
  std::vector<std::int16_t> samples(static_cast<std::size_t>(info.frames));
  if (sf_readf_short(file.get(), samples.data(), info.frames) != info.frames)
    fail("fewer samples than the " + std::to_string(info.frames) + " that it says it has");
  return samples;
}

}  // namespace tasks
