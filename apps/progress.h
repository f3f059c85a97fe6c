#pragma once
#include <string>

#include "engine/train/clock.h"
#include "engine/train/run.h"

namespace recon::apps {

/// Shows how a run goes on: a line that renews itself on a terminal, a line a minute and at every epoch's end elsewhere
/// (both on stderr), or one JSON object a line on stdout at those times.
class ProgressDisplay {
 public:
  /// A terminal is recognised by itself.
  explicit ProgressDisplay(bool json);
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  void update(const RunProgress& progress);
  /// `done` of `total` images of a command without epochs.
  void update(const std::string& what, int64_t done, int64_t total);
  void note(const std::string& text);
  void warning(const Warning& warning);

 private:
  enum class Style { terminal, plain, json };
  /// Whether it is time for another line.
  bool due(bool at_once);
  void line(const std::string& text, bool keep);
  void clear();

  Style style_;
  Clock::time_point last_ = {};
  bool shown_ = false;  // a line without its end stands on the terminal
};

/// 1:02:03
std::string duration_text(double seconds);
/// 12.3 MiB
std::string bytes_text(double bytes);

}  // namespace recon::apps
