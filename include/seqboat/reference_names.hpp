#pragma once

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/io/safetensors.hpp>
#include <sma/module/module.hpp>
#include <sma/train/checkpoint.hpp>
#include <string>
#include <string_view>
#include <vector>

/// Names of the reference implementation (github renll/SeqBoat, PyTorch) for this library's tensors, so that its weights load
/// and save as they are.
///
/// | here, in a layer                    | reference                          |
/// |-------------------------------------|------------------------------------|
/// | norm.*                              | norm.norm.*                        |
/// | move.*                              | move.*                             |
/// | router.configurator.{weight, bias}  | hx_proj.{weight, bias}, first rows |
/// | hx_proj.{weight, bias}              | hx_proj.{weight, bias}, the rest   |
/// | router.configurator.temp            | q_router.temp                      |
/// | router.attention.*, attention.*     | * (mx_proj, h_proj, gamma, ...)    |
/// | feed_forward.{norm, up, down}.*     | nffn.{norm.norm, fc1, fc2}.*       |
///
/// The embedding of real numbers has a weight of shape (W) there, (W, 1) here.
///
/// Layers stand under `encoder.layers.<i>.mega_layer.` in classifiers and `layers.<i>.slag_layer.` in language models.
namespace seqboat {

using sma::Index;

/// Which of the reference's models a network is; it decides where the layers stand.
enum class ReferenceKind { layer, classifier, language_model };

/// Where one of our tensors lies in the reference's state dictionary: `entry.size` elements, from element `first` on, of the
/// tensor `name`. Both are row-major.
struct ReferenceSlice {
  sma::TensorEntry entry;           // ours: path, place in the network's buffer, shape
  std::string name;                 // the reference's tensor
  std::vector<std::int64_t> shape;  // of the whole reference tensor
  Index first = 0;
};

/// `Classifier` and `PairClassifier` begin with an encoder, `LanguageModel` with its embedding; everything else is a layer.
template <class Description>
ReferenceKind reference_kind();

/// The slices of all parameters of `Description`, in storage order. Throws `Error` for a parameter that no model of the
/// reference has.
template <class Description>
std::vector<ReferenceSlice> reference_parameters(ReferenceKind kind = reference_kind<Description>());

/// The same for buffers (running statistics of batch norm).
template <class Description>
std::vector<ReferenceSlice> reference_buffers(ReferenceKind kind = reference_kind<Description>());

/// What `load_reference` takes from a file.
struct ReferenceOptions {
  std::string prefix;   // in front of every name, for example "param."; other tensors are not looked at
  bool buffers = true;  // false: the network's running statistics stay, and the file need not hold any
};

/// Sets the network's parameters and running statistics to those of a file under the reference's names. Throws `Error` that
/// names the file and the tensor when one is missing, has another shape (extents of 1 at its end aside), or is not the network's;
/// nothing is changed then.
/// PyTorch: load_state_dict(strict=True).
template <class Net>
void load_reference(Net& net, const sma::SafetensorsFile& file, const ReferenceOptions& options = {});

/// Writes parameters and running statistics under the reference's names, aside and renamed. Throws `Error`.
/// PyTorch: load_state_dict takes what Python's `safetensors.torch.load_file` reads from it.
template <class Net>
void save_reference(Net& net, const std::string& path);

namespace detail {

inline bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// "3." from "3.move.delta"; "0." where a lone layer carries no number.
inline std::string take_layer_number(std::string_view& path) {
  std::size_t digits = 0;
  while (digits < path.size() && std::isdigit(static_cast<unsigned char>(path[digits])) != 0) ++digits;
  if (digits == 0 || digits == path.size() || path[digits] != '.') return "0.";
  std::string number(path.substr(0, digits + 1));
  path.remove_prefix(digits + 1);
  return number;
}

inline std::string joined(std::string_view a, std::string_view b) { return std::string(a) + std::string(b); }

/// A tensor inside a layer; `unit` is where the reference keeps everything but the feed-forward block.
inline std::string reference_name_in_layer(std::string_view path, const std::string& unit) {
  const std::string_view whole = path;
  if (take_prefix(path, "feed_forward.")) {
    if (take_prefix(path, "norm.")) return joined("nffn.norm.norm.", path);
    if (take_prefix(path, "up.")) return joined("nffn.fc1.", path);
    if (take_prefix(path, "down.")) return joined("nffn.fc2.", path);
  } else if (take_prefix(path, "norm.")) {
    return unit + joined("norm.norm.", path);
  } else if (path == "router.configurator.temp") {
    return unit + "q_router.temp";
  } else if (take_prefix(path, "router.configurator.")) {
    return unit + joined("hx_proj.", path);
  } else if (take_prefix(path, "router.attention.") || take_prefix(path, "attention.") ||
             path.starts_with("move.") || path.starts_with("hx_proj.")) {
    return unit + std::string(path);
  }
  throw sma::Error("seqboat::reference_parameters: found '" + std::string(whole) +
                   "', expected a tensor of a SeqBoat layer");
}

inline constexpr std::string_view kEmbeddingWeight = "encoder.embed_tokens.weight";
inline constexpr std::string_view kEmbeddingBias =
    "encoder.embed_tokens.bias";  // of real numbers, not of tokens

inline std::string reference_name(const sma::TensorEntry& entry, ReferenceKind kind, bool embeds_numbers) {
  std::string_view path = entry.name;
  switch (kind) {
    case ReferenceKind::classifier:
      if (take_prefix(path, "encoder.layers.")) {
        const std::string layer = "encoder.layers." + take_layer_number(path);
        return layer + reference_name_in_layer(path, "mega_layer.");
      }
      if (path == kEmbeddingWeight && !embeds_numbers) return "encoder.embed_tokens.embed.weight";
      if (take_prefix(path, "encoder.final_norm.")) return joined("encoder.final_norm.norm.", path);
      return std::string(path);
    case ReferenceKind::language_model:
      if (take_prefix(path, "layers.")) {
        const std::string layer = "layers." + take_layer_number(path);
        return layer + reference_name_in_layer(path, "slag_layer.");
      }
      if (take_prefix(path, "final_norm.")) return joined("final_norm.norm.", path);
      return std::string(path);
    default:
      return reference_name_in_layer(path, "");
  }
}

/// Our tensors that share one of the reference's are stacked in it by rows, the configurator's first.
inline std::vector<ReferenceSlice> reference_slices(const std::vector<sma::TensorEntry>& entries,
                                                    ReferenceKind kind) {
  std::vector<ReferenceSlice> slices;
  std::map<std::string, const sma::TensorEntry*, std::less<>> configurators;
  const bool embeds_numbers = std::any_of(entries.begin(), entries.end(), [](const sma::TensorEntry& entry) {
    return entry.name == kEmbeddingBias;
  });
  for (const sma::TensorEntry& entry : entries) {
    slices.push_back(
        {entry, reference_name(entry, kind, embeds_numbers), {entry.shape.begin(), entry.shape.end()}, 0});
    if (embeds_numbers && entry.name == kEmbeddingWeight) slices.back().shape = {entry.size};  // not (W, 1)
    if (entry.name.find("router.configurator.") != std::string::npos)
      configurators[slices.back().name] = &entry;
  }
  std::map<std::string, std::int64_t, std::less<>> rows;
  for (const ReferenceSlice& slice : slices) rows[slice.name] += slice.shape[0];
  for (ReferenceSlice& slice : slices) {
    slice.shape[0] = rows[slice.name];
    const auto leading = configurators.find(slice.name);
    if (leading != configurators.end() && leading->second->name != slice.entry.name)
      slice.first = leading->second->size;
  }
  return slices;
}

/// What the reference's state dictionary holds beside learned tensors and statistics.
inline bool is_reference_constant(std::string_view name) {
  return name.ends_with(".num_batches_tracked") || name.ends_with(".inv_freq");
}

template <class S>
void read_slices(const sma::SafetensorsFile& file, const std::string& prefix,
                 const std::vector<ReferenceSlice>& slices, std::vector<S>& values) {
  std::vector<S> whole;
  for (const ReferenceSlice& slice : slices) {
    const Index size = file.contains(prefix + slice.name)
                           ? static_cast<Index>(file.info(prefix + slice.name).count())
                           : Index{0};
    whole.resize(static_cast<std::size_t>(size));
    sma::read_tensor(file, prefix + slice.name, whole.data(), slice.shape);
    std::copy_n(whole.data() + slice.first, slice.entry.size, values.data() + slice.entry.offset);
  }
}

/// Whole reference tensors, put together from our slices.
template <class S>
struct ReferenceTensors {
  struct Whole {
    std::vector<std::int64_t> shape;
    std::vector<S> values;
  };
  std::map<std::string, Whole> by_name;

  void add(const std::vector<ReferenceSlice>& slices, const std::vector<S>& values) {
    for (const ReferenceSlice& slice : slices) {
      Whole& whole = by_name[slice.name];
      whole.shape = slice.shape;
      const Index end = slice.first + slice.entry.size;
      if (static_cast<Index>(whole.values.size()) < end) whole.values.resize(static_cast<std::size_t>(end));
      std::copy_n(values.data() + slice.entry.offset, slice.entry.size, whole.values.data() + slice.first);
    }
  }
};

}  // namespace detail

template <class Description>
ReferenceKind reference_kind() {
  const auto entries = sma::parameter_entries<Description>();
  const std::string_view first =
      entries.empty() ? std::string_view() : std::string_view(entries.front().name);
  if (first.starts_with("encoder.")) return ReferenceKind::classifier;
  if (first.starts_with("embed_tokens.")) return ReferenceKind::language_model;
  return ReferenceKind::layer;
}

template <class Description>
std::vector<ReferenceSlice> reference_parameters(ReferenceKind kind) {
  return detail::reference_slices(sma::parameter_entries<Description>(), kind);
}

template <class Description>
std::vector<ReferenceSlice> reference_buffers(ReferenceKind kind) {
  return detail::reference_slices(sma::buffer_entries<Description>(), kind);
}

template <class Net>
void load_reference(Net& net, const sma::SafetensorsFile& file, const ReferenceOptions& options) {
  using Description = typename Net::description;
  const auto parameters = reference_parameters<Description>();
  const auto buffers = reference_buffers<Description>();
  auto weights = sma::host_copy(net, net.parameters());
  auto statistics = sma::host_copy(net, net.buffers());
  detail::read_slices(file, options.prefix, parameters, weights);
  if (options.buffers) detail::read_slices(file, options.prefix, buffers, statistics);

  std::set<std::string, std::less<>> known;
  for (const ReferenceSlice& slice : parameters) known.insert(slice.name);
  for (const ReferenceSlice& slice : buffers) known.insert(slice.name);
  for (const std::string& full : file.names()) {
    std::string_view name = full;
    if (!detail::take_prefix(name, options.prefix)) continue;
    if (!known.contains(name) && !detail::is_reference_constant(name))
      throw sma::Error(sma::one_line(file.path()) + ": found tensor " + sma::quoted_name(full) +
                       ", expected only the network's " + std::to_string(known.size()) +
                       " tensors: weights of another model");
  }
  net.set_parameters(weights);
  net.set_buffers(statistics);
}

template <class Net>
void save_reference(Net& net, const std::string& path) {
  using Description = typename Net::description;
  detail::ReferenceTensors<typename Net::Compute> tensors;
  tensors.add(reference_parameters<Description>(), sma::host_copy(net, net.parameters()));
  tensors.add(reference_buffers<Description>(), sma::host_copy(net, net.buffers()));
  sma::SafetensorsWriter file;
  for (const auto& [name, whole] : tensors.by_name) file.add(name, whole.shape, whole.values.data());
  sma::add_origin(file);
  file.write(path);
}

}  // namespace seqboat
