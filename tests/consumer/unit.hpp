/// The body of a unit that defines `double NAME()`: what a network gives and learns. Its includes are the including file's.

namespace {

using Description =
    sma::Chain<sma::Linear<8, 8>, sma::SiLU<8>, seqboat::GatedAttention<8, 4, 8, seqboat::Window<4>>,
               sma::RmsNorm<8>, sma::Dropout<8, std::ratio<1, 4>>>;
using Net = sma::Network<Description, sma::Eigen<float>>;

}  // namespace

double NAME();
double NAME() {
  Net net{sma::Seed{1}};
  sma::Batch<float, 8> x{20, 0, 3};
  for (int i = 0; float& element : x.values()) element = 0.25F * static_cast<float>(i++ % 9 - 4);
  const auto y = net.train(x);
  const std::vector<float> dy(static_cast<std::size_t>(y.count) * 8, 1.0F);
  net.backward({dy.data(), y.count});
  double sum = 0;
  for (const float gradient : net.gradients()) sum += static_cast<double>(gradient * gradient);
  return sum;
}
