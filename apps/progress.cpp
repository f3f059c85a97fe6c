#include "apps/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "apps/common.h"

namespace recon::apps {
namespace {

constexpr double terminal_seconds = 0.2, plain_seconds = 60;

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[400];
  const int length = std::snprintf(text, sizeof text, pattern, values...);
  return std::string(text, static_cast<size_t>(std::clamp(length, 0, 399)));
}

size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 100;
}

std::string text_of(const RunProgress& p) {
  const EpochReport& e = *p.epoch;
  std::string text;
  if (p.stages > 1) text += format("stage %d/%d  ", p.stage + 1, p.stages);
  text += format("epoch %d/%d  %-13s", e.epoch + 1, p.epochs, e.stage.c_str());
  if (!p.epoch_finished) text += format(" %3.0f%%", 100.0 * double(e.images) / double(std::max<int64_t>(1, p.images)));
  text += format("  loss %.5f", e.loss);
  if (e.kl != 0) text += format("  kl %.3f", e.kl);
  text += format("  band %.0f", e.band);
  if (p.epoch_finished && e.pose_change_degrees > 0) text += format("  poses moved %.1f deg", e.pose_change_degrees);
  if (p.survivors() > 0) text += format("  %.1f survivors", p.survivors());
  text += format("  %.0f images/s", p.images_per_second);
  text += "  ETA " + duration_text(p.run_remaining_seconds);
  if (p.stages > 1) text += " (stage " + duration_text(p.remaining_seconds) + ")";
  return text + "  " + bytes_text(double(p.device_bytes)) + " (peak " + bytes_text(double(p.device_bytes_peak)) + ")";
}

Json json_of(const RunProgress& p) {
  const EpochReport& e = *p.epoch;
  return {{"event", p.epoch_finished ? "epoch" : "progress"},
          {"stage", p.stage},
          {"stages", p.stages},
          {"epoch", e.epoch},
          {"epochs", p.epochs},
          {"kind", e.stage},
          {"images_done", e.images},
          {"images", p.images},
          {"loss", e.loss},
          {"kl", e.kl},
          {"band", e.band},
          {"learning_rate", e.learning_rate},
          {"pose_change_degrees", e.pose_change_degrees},
          {"images_per_second", p.images_per_second},
          {"elapsed_s", p.elapsed_seconds},
          {"stage_remaining_s", p.remaining_seconds},
          {"run_remaining_s", p.run_remaining_seconds},
          {"survivors_an_image", p.survivors()},
          {"device_bytes", p.device_bytes},
          {"device_bytes_peak", p.device_bytes_peak}};
}

}  // namespace

std::string duration_text(double seconds) {
  if (!(seconds >= 0 && seconds < 1e9)) return "unknown";
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  return format("%lld:%02lld:%02lld", static_cast<long long>(whole / 3600), static_cast<long long>(whole / 60 % 60),
                static_cast<long long>(whole % 60));
}

std::string bytes_text(double bytes) {
  const double mebibytes = bytes / 1048576;
  return mebibytes < 1024 ? format("%.1f MiB", mebibytes) : format("%.2f GiB", mebibytes / 1024);
}

ProgressDisplay::ProgressDisplay(bool json)
    : style_(json                      ? Style::json
             : ::isatty(STDERR_FILENO) ? Style::terminal
                                       : Style::plain) {}

ProgressDisplay::~ProgressDisplay() { clear(); }

void ProgressDisplay::clear() {
  if (!shown_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

bool ProgressDisplay::due(bool at_once) {
  const auto now = Clock::now();
  const double wait = style_ == Style::terminal ? terminal_seconds : plain_seconds;
  if (last_ == Clock::time_point{} && style_ != Style::terminal && !at_once) {
    last_ = now;  // the first minute begins
    return false;
  }
  if (!at_once && std::chrono::duration<double>(now - last_).count() < wait) return false;
  last_ = now;
  return true;
}

void ProgressDisplay::line(const std::string& text, bool keep) {
  clear();
  if (style_ == Style::terminal && !keep) {
    std::fputs(text.substr(0, terminal_columns() - 1).c_str(), stderr);
    shown_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
  std::fflush(stderr);
}

void ProgressDisplay::update(const RunProgress& progress) {
  if (!due(progress.epoch_finished)) return;
  if (style_ == Style::json)
    print_result(json_of(progress), true);
  else
    line(text_of(progress), progress.epoch_finished);
}

void ProgressDisplay::update(const std::string& what, int64_t done, int64_t total) {
  if (!due(false)) return;
  if (style_ == Style::json)
    print_result({{"event", "progress"}, {"kind", what}, {"images_done", done}, {"images", total}}, true);
  else
    line(what + " " + std::to_string(done) + "/" + std::to_string(total), false);
}

void ProgressDisplay::note(const std::string& text) {
  if (style_ == Style::json)
    print_result({{"event", "note"}, {"message", text}}, true);
  else
    line(text, true);
}

void ProgressDisplay::warning(const Warning& warning) {
  clear();
  print_warning(warning.text, style_ == Style::json, warning.kind);
}

}  // namespace recon::apps
