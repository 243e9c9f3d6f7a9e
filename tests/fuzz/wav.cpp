#include <fuzz/reader.hpp>
#include <tasks/data/wav.hpp>

namespace {

using namespace std::string_literals;

/// Of one channel of 16 bit at 16 kHz; `bytes`: what its data chunk says it has.
std::string sound(const std::string& samples, char bytes) {
  return "RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data"s + bytes +
         "\0\0\0"s + samples;
}

const fuzz::Reader wav{"wav",
                       [](const fuzz::Folder&) -> std::vector<std::string> {
                         return {sound("\x01\0\x02\0\x03\0\x04\0"s, 8), sound("\x01\0\x02\0"s, 8), "RIFF"s};
                       },
                       [](const fuzz::Folder& folder, std::string_view input) {
                         folder.put("sound.wav", input);
                         tasks::read_wav(folder.path("sound.wav"), 16000,
                                         "a WAV file of 16 kHz, mono, 16 bit");
                       }};

}  // namespace
