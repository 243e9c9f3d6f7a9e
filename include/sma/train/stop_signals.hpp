#pragma once

#include <signal.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <sma/base/error.hpp>

namespace sma {

/// While it lives, the first SIGINT, SIGTERM or SIGHUP asks a trainer to stop: `run` finishes its update, saves and returns. A
/// second one ends the process at once. A signal that was ignored when it was made (nohup) stays ignored.
///
///     const sma::StopSignals signals(trainer);
///     trainer.run();
///     if (signals.received() != 0) ...
///
/// One at a time in a process: a second one throws `Error`. At its end the handlers are those from before.
class StopSignals {
 public:
  template <class Trainer>
  explicit StopSignals(Trainer& trainer) : StopSignals(trainer.stop_flag()) {}
  explicit StopSignals(std::atomic<bool>& flag);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// The signal that came, 0 when none has.
  [[nodiscard]] static int received() { return received_.load(); }

 private:
  static constexpr std::array<int, 3> signals{SIGINT, SIGTERM, SIGHUP};
  static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
                "a signal's handler may touch lock-free atomics only");

  static void handle(int number);

  inline static std::atomic<std::atomic<bool>*> flag_ = nullptr;
  inline static std::atomic<int> received_ = 0;
  /// Which of the signals have the handler; the others are ignored.
  inline static std::array<std::atomic<bool>, signals.size()> handled_{};
  std::array<struct sigaction, signals.size()> before_{};
};

inline StopSignals::StopSignals(std::atomic<bool>& flag) {
  std::atomic<bool>* none = nullptr;
  if (!flag_.compare_exchange_strong(none, &flag))
    throw Error("sma::StopSignals: found another one that lives, expected one at a time");
  received_ = 0;
  struct sigaction action {};
  action.sa_handler = &StopSignals::handle;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  for (const int number : signals) ::sigaddset(&action.sa_mask, number);
  for (std::size_t i = 0; i < signals.size(); ++i) {
    ::sigaction(signals[i], nullptr, &before_[i]);
    handled_[i] = before_[i].sa_handler != SIG_IGN;
    if (handled_[i]) ::sigaction(signals[i], &action, nullptr);
  }
}

inline StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < signals.size(); ++i)
    if (handled_[i]) ::sigaction(signals[i], &before_[i], nullptr);
  flag_ = nullptr;
}

/// Only what POSIX allows in a handler. The next signal finds the default action, which ends the process.
inline void StopSignals::handle(int number) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (std::size_t i = 0; i < signals.size(); ++i)
    if (handled_[i]) ::sigaction(signals[i], &action, nullptr);
  received_ = number;
  if (std::atomic<bool>* const flag = flag_) *flag = true;
}

}  // namespace sma
