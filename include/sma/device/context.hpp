#pragma once

#include <algorithm>
#include <memory>
#include <sma/base/diagnostics.hpp>
#include <sma/base/error.hpp>
#include <sma/base/precision.hpp>
#include <sma/base/random.hpp>
#include <sma/device/arena.hpp>
#include <sma/device/backend.hpp>
#include <sma/device/finite.hpp>
#include <sma/shards/shards.hpp>

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
  using Compute = compute_of<Scalar>;
  using Shards = sma::Shards<typename Backend::Team, Compute>;

  /// With a backend of its own.
  Context() : own_backend_(std::make_unique<Backend>()), backend_(own_backend_.get()) {}
  explicit Context(Backend& backend) : backend_(&backend) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

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
  ShardPlace<typename Backend::Team, Compute> place;
  Compute* trace = nullptr;  // (rows of the whole batch, trace_columns); null: not asked for
  Index trace_columns = 0;
  /// Scratch memory shared with shards that never run at the same time as this one; or null.
  Arena<Backend>* turns = nullptr;
  /// Who looks at the modules' outputs, or null.
  Watch* watch = nullptr;

  /// Where kernels and copies go.
  [[nodiscard]] Backend& backend() { return *backend_; }
  /// Until all that was queued is done: what was downloaded can be read.
  void wait() { backend_->wait(); }
  /// A place in the queue, to wait for what stands before it.
  [[nodiscard]] auto record() {
    if constexpr (requires { backend_->record(); })
      return backend_->record();
    else
      return detail::EndOfQueue{};
  }
  template <class Mark>
  void wait(const Mark& mark) {
    backend_->wait(mark);
  }
  void wait(detail::EndOfQueue) { wait(); }
  /// This shard among the batch's.
  [[nodiscard]] Shards shards() { return Shards(place); }
  [[nodiscard]] bool training() const { return settings.mode == Mode::training; }
  [[nodiscard]] Scope scope() { return Scope(*this, arena()); }
  /// A scope in which this shard meets no other: its scratch memory is what shards use in turn.
  [[nodiscard]] Scope scope_alone() { return turns == nullptr ? scope() : Scope(*this, *turns); }

  /// Memory until the enclosing scope ends.
  template <class T>
  T* scratch(Index count) {
    return arena().template allocate<T>(count);
  }
  template <Index Width, class T = Scalar>
  Rows<T, Width> scratch_rows(Index rows) {
    return {scratch<T>(rows * Width), rows, Width};
  }

  /// Memory until backward is over; in inference, where there is no backward, until the enclosing scope ends.
  template <class T>
  T* keep(Index count) {
    return training() ? keep_.template allocate<T>(count) : scratch<T>(count);
  }
  template <Index Width, class T = Scalar>
  Rows<T, Width> keep_rows(Index rows) {
    return {keep<T>(rows * Width), rows, Width};
  }

  /// Host memory until the pass is over, for what comes down while the host goes on.
  template <class T>
  T* host(Index count) {
    return host_.template allocate<T>(count);
  }

  /// f(0) .. f(extent-1) in any order, or the backend's own way to do the same. One function a kernel type, never part of its
  /// callers: whether a compiler joins a product and a sum into one rounding must not depend on who launches the kernel. (In a stream's step
  /// it may: StepContext.)
  template <class Kernel>
  SMA_NOINLINE void launch(const Kernel& kernel) {
    Launched<Context, Kernel>::note(*this, kernel);
    run(*this, kernel);
  }

  /// The random numbers of module instance `instance` in this step; `use` tells apart several uses inside a module.
  [[nodiscard]] RandomStream random(Index instance, std::uint64_t use = 0) const {
    return RandomStream::derived(settings.seed, settings.step, static_cast<std::uint64_t>(instance), use);
  }

  void reset() {
    keep_.reset();
    own_.reset();
    host_.reset();
  }
  /// Forgets everything and makes as much room as `other` has.
  void match(const Context& other) {
    keep_.reserve(other.keep_.capacity());
    own_.reserve(other.own_.capacity());
    host_.reserve(other.host_.capacity());
  }
  [[nodiscard]] std::size_t peak_bytes() const { return keep_.capacity() + own_.capacity(); }
  /// What `keep` has given since the pass began, and what scratch memory is taken now, that of `turns` included.
  [[nodiscard]] std::size_t kept_bytes() const { return keep_.mark().live; }
  [[nodiscard]] std::size_t scratch_bytes() const {
    return own_.mark().live + (turns == nullptr ? 0 : turns->mark().live);
  }

 private:
  Arena<Backend>& arena() { return scratch_ == nullptr ? own_ : *scratch_; }

  std::unique_ptr<Backend> own_backend_;
  Backend* backend_;
  detail::HostMemory<Backend> host_memory_{*backend_};
  Arena<Backend> keep_{*backend_};

 protected:
  Arena<Backend> own_{*backend_};  // scratch memory of this shard alone

 private:
  Arena<detail::HostMemory<Backend>> host_{host_memory_};
  Arena<Backend>* scratch_ = nullptr;  // what scopes take from; null: own_
};

/// The context of a network in which a module couples the batch (`couples_batch`): in training its shards run at the same time.
template <class BackendType>
class CoupledContext : public Context<BackendType> {
 public:
  using Context<BackendType>::Context;
  using Shards = CoupledShards<typename BackendType::Team, compute_of<typename BackendType::Scalar>>;

  [[nodiscard]] Shards shards() { return Shards(this->place); }
};

/// The context of a step of a stream, which is one row through everything. Kernels are small, and become part of it.
template <class Base>
class StepContext : public Base {
 public:
  using Base::Base;

  /// All scratch memory is this context's own.
  class Scope {
   public:
    explicit Scope(Arena<typename Base::Backend>& scratch) : scratch_(scratch), mark_(scratch.mark()) {}
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { scratch_.release(mark_); }

   private:
    Arena<typename Base::Backend>& scratch_;
    typename Arena<typename Base::Backend>::Mark mark_;
  };
  [[nodiscard]] Scope scope() { return Scope(this->own_); }

  template <class Kernel>
  [[gnu::always_inline]] void launch(const Kernel& kernel) {
    auto& ctx = static_cast<Context<typename Base::Backend>&>(*this);
    Launched<Context<typename Base::Backend>, Kernel>::note(ctx, kernel);
    run(ctx, kernel);
  }
};

}  // namespace sma
