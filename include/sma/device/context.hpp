#pragma once

#include <algorithm>
#include <sma/base/diagnostics.hpp>
#include <sma/base/error.hpp>
#include <sma/base/random.hpp>
#include <sma/device/arena.hpp>
#include <sma/device/backend.hpp>
#include <sma/device/finite.hpp>

namespace sma {

enum class Mode { inference, training };

/// Weights of the auxiliary losses that routers add to the objective (0: off). Each loss is a mean over sequences.
struct AuxiliaryWeights {
  double load_balance =
      0.0;              // M * sum_i (active rate_i * mean probability_i), Switch Transformer eq. 4 a sequence
  double z_loss = 0.0;  // mean over steps of logsumexp(logits)^2, ST-MoE eq. 5
  double budget = 0.0;  // (mean run probability - target)^2 a branch
  double budget_target = 0.5;
};

/// What one step of a network has to know; the same in every shard.
struct StepSettings {
  Mode mode = Mode::inference;
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  double progress = 0.0;  // fraction of training done, 0..1; anneals temperatures
  AuxiliaryWeights auxiliary;
  Index batch_sequences = 1;  // sequences in the whole batch, all shards
  double auxiliary_share =
      1.0;  // of an update that the batch is: what auxiliary losses' gradients are multiplied with
};

/// What a module's functions see of one shard: memory, kernels, mode, randomness. Its shards never meet; those of `CoupledContext` do.
template <class BackendType>
class Context {
 public:
  using Backend = BackendType;
  using Scalar = typename Backend::Scalar;
  using Reducer = typename Backend::Team::Reducer;

  /// Releases, at its end, the scratch memory taken since it was made.
  class Scope {
   public:
    Scope(Context& ctx, Arena<Backend>& scratch)
        : ctx_(ctx), before_(ctx.scratch_), mark_((ctx.scratch_ = &scratch)->mark()) {}
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() {
      ctx_.scratch_->release(mark_);
      ctx_.scratch_ = before_;
    }

   private:
    Context& ctx_;
    Arena<Backend>* before_;
    typename Arena<Backend>::Mark mark_;
  };

  StepSettings settings;
  Reducer* reducer = nullptr;  // null: this shard is the whole batch
  Index lane = 0;
  Scalar* trace = nullptr;  // (rows of the whole batch, trace_columns); null: not asked for
  Index trace_columns = 0;
  /// Gradients of this shard, and the whole batch's, which lie alike. Null where the network sums over shards after the pass.
  Scalar* own_gradients = nullptr;
  Scalar* batch_gradients = nullptr;
  /// Scratch memory shared with shards that never run at the same time as this one; or null.
  Arena<Backend>* turns = nullptr;
  /// Who looks at the modules' outputs, or null.
  Watch* watch = nullptr;

  [[nodiscard]] bool training() const { return settings.mode == Mode::training; }
  [[nodiscard]] Scope scope() { return Scope(*this, arena()); }
  /// A scope in which this shard meets no other: its scratch memory is what shards use in turn.
  [[nodiscard]] Scope scope_alone() { return turns == nullptr ? scope() : Scope(*this, *turns); }

  /// Memory until the enclosing scope ends.
  template <class T>
  T* scratch(Index count) {
    return arena().template allocate<T>(count);
  }
  template <Index Width>
  Rows<Scalar, Width> scratch_rows(Index rows) {
    return {scratch<Scalar>(rows * Width), rows, Width};
  }

  /// Memory until backward is over; in inference, where there is no backward, until the enclosing scope ends.
  template <class T>
  T* keep(Index count) {
    return training() ? keep_.template allocate<T>(count) : scratch<T>(count);
  }
  template <Index Width>
  Rows<Scalar, Width> keep_rows(Index rows) {
    return {keep<Scalar>(rows * Width), rows, Width};
  }

  /// f(0) .. f(extent-1) in any order, or the backend's own way to do the same. One function a kernel type, never part of its
  /// callers: whether a compiler joins a product and a sum into one rounding must not depend on who launches the kernel.
  template <class Kernel>
  SMA_NOINLINE void launch(const Kernel& kernel) {
    Launched<Context, Kernel>::note(*this, kernel);
    run(*this, kernel);
  }

  /// Not here: this network's shards do not meet, and some of them may have ended. See CoupledContext.
  template <class T>
  void all_reduce(T*, Index) {
    static_assert(
        shards_do_not_meet<Context, T>,
        "ctx.all_reduce(data, count) requires a network whose shards meet: the module that calls it "
        "has couples_batch = true and stands in the Children of whatever holds it");
  }

  /// Whether shards that meet can sum their gradients on the way, so that a part of a network needs no memory for those of another.
  static constexpr bool sums_gradients =
      requires(Reducer& r, Scalar* mine, Scalar* total) { r.sum_into(Index{}, mine, total, Index{}); };

  /// Adds `count` gradients of every shard to the batch's gradients at `place`, given as this shard's memory for them, and clears
  /// them. Every shard must call it.
  void sum_gradients(Scalar* mine, const Scalar* place, Index count)
    requires(sums_gradients)
  {
    reducer->sum_into(lane, mine, batch_gradients + (place - own_gradients), count);
  }

  /// The random numbers of module instance `instance` in this step; `use` tells apart several uses inside a module.
  [[nodiscard]] RandomStream random(Index instance, std::uint64_t use = 0) const {
    return RandomStream::derived(settings.seed, settings.step, static_cast<std::uint64_t>(instance), use);
  }

  void reset() {
    keep_.reset();
    own_.reset();
  }
  /// Forgets everything and makes as much room as `other` has.
  void match(const Context& other) {
    keep_.reserve(other.keep_.capacity());
    own_.reserve(other.own_.capacity());
  }
  [[nodiscard]] std::size_t peak_bytes() const { return keep_.capacity() + own_.capacity(); }
  /// What `keep` has given since the pass began, and what scratch memory is taken now, that of `turns` included.
  [[nodiscard]] std::size_t kept_bytes() const { return keep_.mark().live; }
  [[nodiscard]] std::size_t scratch_bytes() const {
    return own_.mark().live + (turns == nullptr ? 0 : turns->mark().live);
  }

 private:
  Arena<Backend>& arena() { return scratch_ == nullptr ? own_ : *scratch_; }

  Arena<Backend> keep_;
  Arena<Backend> own_;                 // scratch memory of this shard alone
  Arena<Backend>* scratch_ = nullptr;  // what scopes take from; null: own_
};

/// The context of a network in which a module couples the batch (`couples_batch`): in training its shards run at the same time.
template <class BackendType>
class CoupledContext : public Context<BackendType> {
 public:
  /// data[i] becomes the sum over all shards of the batch, the same in each. Every shard must call it, with any rows or none, and
  /// with as many numbers as the others. Throws `Error` in inference, where shards run one by one.
  void all_reduce(typename BackendType::Scalar* data, Index count) {
    if (!this->training())
      throw Error(
          "ctx.all_reduce: found a pass in inference, whose shards run one by one, expected one in training");
    if (this->reducer != nullptr) this->reducer->all_reduce(this->lane, data, count);
  }
};

}  // namespace sma
