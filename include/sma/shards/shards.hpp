#pragma once

#include <sma/base/diagnostics.hpp>
#include <sma/base/error.hpp>
#include <sma/base/sequences.hpp>
#include <utility>

namespace sma {

/// Which shard of a batch this is, and what it needs to meet the others. `Team` is the backend's.
template <class Team, class Scalar>
struct ShardPlace {
  Index number = 0;
  typename Team::Reducer* reducer = nullptr;  // null: this shard is the whole batch
  bool meets = false;                         // the shards run at the same time
  /// Gradients of this shard, and the whole batch's, which lie alike. Null where the network sums over shards after the pass.
  Scalar* own_gradients = nullptr;
  Scalar* batch_gradients = nullptr;
};

/// The shards of a batch as one of them sees them, `ctx.shards()`: a CPU's lanes, or a GPU's one. These never meet; some may have
/// ended when another begins.
template <class Team, class Scalar>
class Shards {
 public:
  /// Whether shards that meet can sum their gradients on the way, so that a part of a network needs no memory for those of another.
  static constexpr bool sums_gradients = false;

  explicit Shards(ShardPlace<Team, Scalar>& place) : place_(place) {}

  /// This one's number, from 0.
  [[nodiscard]] Index mine() const { return place_.number; }

  /// Not here: this network's shards do not meet. See CoupledShards.
  template <class T>
  void all_reduce(T*, Index) {
    static_assert(
        shards_do_not_meet<Team, T>,
        "ctx.shards().all_reduce(data, count) requires a network whose shards meet: the module that calls it "
        "has couples_batch = true and stands in the Children of whatever holds it");
  }

 protected:
  ShardPlace<Team, Scalar>& place_;
};

/// Those of a network in which a module couples the batch (`couples_batch`): in training they run at the same time.
template <class Team, class Scalar>
class CoupledShards : public Shards<Team, Scalar> {
  using Reducer = typename Team::Reducer;
  using Shards<Team, Scalar>::place_;

 public:
  static constexpr bool sums_gradients =
      requires(Reducer& r, Scalar* mine, Scalar* total) { r.sum_into(Index{}, mine, total, Index{}); };

  using Shards<Team, Scalar>::Shards;

  /// data[i] becomes the sum over all shards of the batch, the same in each. Every shard must call it, with any rows or none, and
  /// with as many numbers as the others. Throws `Error` in inference, where shards run one by one.
  void all_reduce(Scalar* data, Index count) {
    if (!place_.meets)
      throw Error(
          "ctx.shards().all_reduce: found a pass in inference, whose shards run one by one, expected one in "
          "training");
    if (place_.reducer != nullptr) place_.reducer->all_reduce(place_.number, data, count);
  }

  /// Whether gradients are to be summed on the way now.
  [[nodiscard]] bool sums_on_the_way() const { return place_.batch_gradients != nullptr; }

  /// Calls `backward`, in which no part does so itself, and adds what `count` gradients of every shard then hold to the batch's, whose
  /// place is given as this shard's memory for them; these are 0 then. Every shard must call it.
  template <class F>
  void sum_gradients(Scalar* mine, const Scalar* place, Index count, const F& backward)
    requires(sums_gradients)
  {
    Scalar* batch = std::exchange(place_.batch_gradients, nullptr);
    backward();
    place_.batch_gradients = batch;
    place_.reducer->sum_into(place_.number, mine, batch + (place - place_.own_gradients), count);
  }
};

}  // namespace sma
