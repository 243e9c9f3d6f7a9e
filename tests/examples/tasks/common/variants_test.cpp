#include <doctest/doctest.h>

#include <sma/module/layout.hpp>
#include <tasks/common/small_models.hpp>
#include <tasks/common/variants.hpp>
#include <type_traits>

namespace {

using tasks::paper::Image;
template <class Model>
constexpr auto classifier_extent = sma::extent_of<seqboat::Classifier<Model>>;

}  // namespace

TEST_CASE("the variant without routers has their parameters less, and nothing to trace") {
  using Variant = tasks::variants::AlwaysActive<Image>;
  static_assert(classifier_extent<Image>.trace == Image::layers);
  static_assert(classifier_extent<Variant>.trace == 0);
  CHECK(classifier_extent<Variant>.weights < classifier_extent<Image>.weights);
}

TEST_CASE("variants of the memory have the model's parameters, but for biases of offsets within it") {
  CHECK(classifier_extent<tasks::variants::FullMemory<Image>>.weights == classifier_extent<Image>.weights);
  CHECK(classifier_extent<tasks::variants::Memory16<Image>>.weights == classifier_extent<Image>.weights);
  using Small = tasks::small::SpeechCommands;
  using Local = tasks::variants::Memory8<Small>::layer;
  static_assert(Local::span::size == 8 && Small::layer::span::size == 32);
  static_assert(std::is_same_v<Local::position, seqboat::LocalPosition<8>>);
  CHECK(classifier_extent<Small>.weights - classifier_extent<tasks::variants::Memory8<Small>>.weights ==
        Small::layers * 6 * (32 - 8));
}
