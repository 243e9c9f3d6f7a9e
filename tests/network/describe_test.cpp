#include <doctest/doctest.h>

#include <seqboat/classifier.hpp>
#include <sma/eigen.hpp>
#include <sma/network/describe.hpp>
#include <sma/network/network.hpp>
#include <sma/sma.hpp>
#include <support/neighbour.hpp>

using sma::Index;

namespace {

struct Mixture : sma::Router<sma::LatentConfigurator<8, sma::Independent, sma::Confidence>,
                             sma::Branch<"map", sma::Linear<8, 8>>, sma::SkipBranch> {};
using Block = sma::Chain<sma::LayerNorm<8>, sma::Named<"mixture", Mixture>, sma::Dropout<8, std::ratio<1, 4>>,
                         sma::SiLU<8>, sma::Linear<8, 8>>;
using Model =
    sma::Chain<sma::Named<"embed", sma::RealEmbedding<8>>, sma::Named<"blocks", sma::Repeat<3, Block>>,
               sma::MeanPool<8>, sma::Named<"head", sma::Linear<8, 2>>>;
using Net = sma::Network<Model, sma::Eigen<float>>;

const sma::DescribedModule& module_of(const std::vector<sma::DescribedModule>& all, const std::string& name) {
  for (const auto& m : all)
    if (m.name == name) return m;
  throw sma::Error("no module " + name);
}

}  // namespace

TEST_CASE("modules are listed with names, shapes, parameters and what becomes of outputs") {
  const auto all = sma::modules_of<Net>({.length = 100, .active = 0.25});
  REQUIRE(all.size() == 14);
  CHECK(all[0].parameters == Net::parameter_count);
  CHECK(all[0].input_width == 1);
  CHECK(all[0].output_width == 2);
  CHECK(all[0].output.empty());
  const auto& embed = module_of(all, "embed");
  CHECK(embed.type == "RealEmbedding<8>");
  CHECK(embed.output == "kept");
  const auto& blocks = module_of(all, "blocks");
  CHECK(blocks.type == "Repeat<3>");
  CHECK(blocks.depth == 1);
  CHECK(blocks.output == "forgotten");  // a mean needs the number of rows alone
  CHECK(all[3].count == 3);             // the block
  CHECK(all[3].output == "kept");
  CHECK(all[4].output == "remade");  // its norm
  const auto& mixture = module_of(all, "mixture");
  CHECK(mixture.type == "Mixture");
  CHECK(mixture.output == "forgotten");  // dropout does not read it
  CHECK(mixture.reach == sma::Reach::past);
  CHECK(module_of(all, "map").type == "Linear<8, 8>");
  CHECK(all[9].output == "kept");     // dropout's, which SiLU reads
  CHECK(all[10].output == "remade");  // SiLU's
}

TEST_CASE("operations a row follow from the type") {
  const auto all = sma::modules_of<Net>({.length = 100, .active = 0.25});
  const double mixture = 2 * 8 * 4 + 0.25 * (2 * 8 * 8 + 2 * 8);
  const double block = mixture + 2 * 8 * 8;
  CHECK(module_of(all, "mixture").flops == doctest::Approx(mixture));
  CHECK(all[3].flops == doctest::Approx(block));
  CHECK(module_of(all, "blocks").flops == doctest::Approx(3 * block));
  CHECK(all[0].flops == doctest::Approx(2 * 8 + 3 * block + 2 * 8 * 2 / 100.0));
}

TEST_CASE("attention's operations count the keys that a row sees") {
  const auto flops = []<class M>(std::type_identity<M>, double length) {
    return sma::flops_of<M>({.length = length, .active = 1});
  };
  using seqboat::Full, seqboat::Window;
  const double others = 2 * 6 * (4 + 2 * 5) + 4 * 4 + 5 + 2 * 5 * 6;
  const auto keys = [&](auto type, Index window, bool causal, Index length) {
    Index pairs = 0;
    for (Index i = 0; i < length; ++i)
      for (Index j = 0; j < length; ++j)
        if ((window == 0 || std::abs(i - j) <= window) && (!causal || j <= i)) ++pairs;
    CHECK(flops(type, static_cast<double>(length)) ==
          doctest::Approx(others + static_cast<double>(pairs) / static_cast<double>(length) * 2 * (4 + 5)));
  };
  using S = seqboat::Softmax;
  using P = seqboat::NoPosition;
  for (const Index length : {1, 3, 4, 50}) {
    keys(std::type_identity<seqboat::GatedAttention<6, 4, 5, Window<3>, S, P, false>>{}, 3, false, length);
    keys(std::type_identity<seqboat::GatedAttention<6, 4, 5, Window<3>, S, P, true>>{}, 3, true, length);
    keys(std::type_identity<seqboat::GatedAttention<6, 4, 5, Full, S, P, false>>{}, 0, false, length);
    keys(std::type_identity<seqboat::GatedAttention<6, 4, 5, Full, S, P, true>>{}, 0, true, length);
  }
  CHECK(flops(std::type_identity<seqboat::Ema<6, 16, true>>{}, 9) == 2 * 6 * 16 * 4 + 2 * 6);
}

TEST_CASE("the description is a table for people") {
  const std::string text = sma::describe<Net>();
  CHECK(text.starts_with("name"));
  CHECK(text.find("\n(network)") != std::string::npos);
  CHECK(text.find("\n  blocks") != std::string::npos);
  CHECK(text.find("Linear<8, 2>") != std::string::npos);
  CHECK(text.find(" \n") == std::string::npos);
}

TEST_CASE("a user's type keeps its name") {
  const auto check = []<class T>(std::type_identity<T>, std::string_view expected) {
    CHECK(sma::shortened_type_name(sma::type_name<T>()) == expected);
  };
  check(std::type_identity<user::Neighbour<7>>{}, "Neighbour<7>");
  check(std::type_identity<Mixture>{}, "Mixture");
  check(std::type_identity<double>{}, "double");
  check(std::type_identity<sma::Chain<sma::Linear<3, 4>, sma::Linear<4, 5>>>{}, "Chain");
}
