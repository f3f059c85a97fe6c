#include "engine/analyze/chart.h"

#include <algorithm>
#include <cmath>

#include "engine/analyze/markup.h"

namespace recon {
namespace {

// The frame in the SVG's own units.
constexpr double chart_width = 420, chart_height = 250, chart_left = 58, chart_right = 12, chart_top = 12,
                 chart_bottom = 44;

/// Values closer than this part of theirs are one: between them there are no round numbers to be told.
constexpr double same_value = 1e-9;

struct Axis {
  double low = 0, high = 1;
  bool log = false;
  double part(double v) const {
    return log ? (std::log10(v) - std::log10(low)) / (std::log10(high) - std::log10(low)) : (v - low) / (high - low);
  }
};
double x_at(const Axis& axis, double v) { return chart_left + axis.part(v) * (chart_width - chart_left - chart_right); }
double y_at(const Axis& axis, double v) {
  return chart_height - chart_bottom - axis.part(v) * (chart_height - chart_top - chart_bottom);
}

std::string place(double v) { return number_text(std::round(10 * v) / 10); }

bool drawable(double v, bool log) { return std::isfinite(v) && (!log || v > 0); }

std::vector<double> decades(const Axis& axis) {
  std::vector<double> ticks;
  const double first = std::floor(std::log10(axis.low)), last = std::ceil(std::log10(axis.high));
  const double step = std::max(1.0, std::ceil((last - first) / 6));
  for (double d = first; d <= last; d += step)
    if (const double v = std::pow(10, d); v >= axis.low * 0.999 && v <= axis.high * 1.001) ticks.push_back(v);
  if (ticks.size() >= 2) return ticks;
  ticks.clear();
  for (const double v : round_ticks(axis.low, axis.high, 4))
    if (v > 0) ticks.push_back(v);
  return ticks;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text, const char* style = "tick") {
  return "<text class=\"" + std::string(style) + "\" x=\"" + place(x) + "\" y=\"" + place(y) + "\" text-anchor=\"" +
         anchor + "\">" + escaped(text) + "</text>";
}

std::string line(double x1, double y1, double x2, double y2, const char* style) {
  return "<path class=\"" + std::string(style) + "\" d=\"M" + place(x1) + " " + place(y1) + "L" + place(x2) + " " +
         place(y2) + "\"/>";
}

std::string grid_of(const Axis& x, const Axis& y, const std::vector<std::pair<double, std::string>>& x_ticks) {
  std::string out;
  for (const double v : y.log ? decades(y) : round_ticks(y.low, y.high, 5)) {
    out += line(chart_left, y_at(y, v), chart_width - chart_right, y_at(y, v), "grid");
    out += text_at(chart_left - 6, y_at(y, v) + 4, "end", number_text(v));
  }
  for (const auto& [v, text] : x_ticks) {
    out += line(x_at(x, v), chart_height - chart_bottom, x_at(x, v), chart_height - chart_bottom + 4, "axis");
    out += text_at(x_at(x, v), chart_height - chart_bottom + 17, "middle", text);
  }
  return out +
         line(chart_left, chart_height - chart_bottom, chart_width - chart_right, chart_height - chart_bottom, "axis");
}

std::string labels_of(const std::string& x_label, const std::string& y_label) {
  const double middle = (chart_top + chart_height - chart_bottom) / 2;
  return text_at((chart_left + chart_width - chart_right) / 2, chart_height - 8, "middle", x_label, "label") +
         "<text class=\"label\" x=\"13\" y=\"" + place(middle) +
         "\" text-anchor=\"middle\" transform=\"rotate(-90 13 " + place(middle) + ")\">" + escaped(y_label) + "</text>";
}

/// Numbers for the script: {"x":[…],"curves":[{"name":…,"y":[…]}…]} with the frame's mapping.
std::string list_of(const std::vector<double>& values) {
  std::string out = "[";
  for (const double v : values) {
    if (out.size() > 1) out += ',';
    out += std::isfinite(v) ? number_text(v) : "null";
  }
  return out + "]";
}

std::string figure(const std::string& title, const std::string& legend, const std::string& summary,
                   const std::string& data, const std::string& drawing) {
  return "<figure class=\"chart\"><figcaption>" + escaped(title) + "</figcaption>" + legend + "<svg viewBox=\"0 0 " +
         place(chart_width) + " " + place(chart_height) + "\" role=\"img\" aria-label=\"" +
         escaped(title + ". " + summary) + "\"" + data + ">" + drawing + "</svg></figure>\n";
}

std::string nothing(const std::string& title) {
  return "<figure class=\"chart\"><figcaption>" + escaped(title) +
         "</figcaption><p class=\"quiet\">No values yet.</p></figure>\n";
}

std::string path_of(const Curve& curve, const Axis& x, const Axis& y) {
  std::string d, dots;
  bool down = false;
  size_t drawn = 0;
  for (size_t i = 0; i < curve.x.size(); ++i) {
    if (!drawable(curve.y[i], y.log)) {
      down = false;
      continue;
    }
    const std::string at = place(x_at(x, curve.x[i])) + " " + place(y_at(y, std::clamp(curve.y[i], y.low, y.high)));
    d.append(down ? "L" : "M").append(at);
    down = true;
    ++drawn;
  }
  const std::string style = colour_class(curve.colour);
  if (drawn == 1) dots = "<path class=\"dot " + style + "\" d=\"" + d + "h0\"/>";
  return "<path class=\"curve " + style + "\" d=\"" + d + "\"/>" + dots;
}

std::string legend_of(const std::vector<Curve>& curves) {
  if (curves.size() < 2) return "";
  std::string out = "<p class=\"legend\">";
  for (const Curve& c : curves)
    out += "<span><i class=\"" + colour_class(c.colour) + "\"></i>" + escaped(c.name) + "</span> ";
  return out + "</p>";
}

struct Range {
  double low = INFINITY, high = -INFINITY;
  void add(double v) { low = std::min(low, v), high = std::max(high, v); }
};

/// The axis of values: from 0 where they come near it, with room above.
Axis value_axis(const Range& range, bool log) {
  if (log) return {range.low / 1.3, std::max(range.high * 1.3, range.low * 2), true};
  double low = range.low, high = range.high;
  if (low > 0 && low < 0.6 * high) low = 0;
  const bool apart = high - low > same_value * std::max(std::abs(low), std::abs(high));
  const double room = apart ? 0.06 * (high - low) : std::max(1e-3, 0.1 * std::abs(high));
  return {low == 0 ? 0 : low - room, high + room, false};
}

}  // namespace

std::string colour_class(int colour) { return std::string("c").append(std::to_string(colour)); }

std::vector<double> round_ticks(double low, double high, int count) {
  if (!(high - low > same_value * std::max(std::abs(low), std::abs(high)))) return {low};
  const double raw = (high - low) / count, power = std::pow(10, std::floor(std::log10(raw))), part = raw / power;
  const double step = power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
  std::vector<double> ticks;
  for (double k = std::ceil(low / step - 1e-9); k * step <= high * (1 + 1e-12) + 1e-9 * step; ++k)
    ticks.push_back(std::abs(k * step) < 1e-9 * step ? 0 : k * step);
  return ticks;
}

std::string html_of(const LineChart& chart) {
  Range xs, ys;
  for (const Curve& c : chart.curves)
    for (size_t i = 0; i < c.x.size(); ++i)
      if (drawable(c.y[i], chart.log_y)) xs.add(c.x[i]), ys.add(c.y[i]);
  if (!std::isfinite(xs.low)) return nothing(chart.title);
  for (const auto& [v, name] : chart.levels)
    if (drawable(v, chart.log_y)) ys.add(v);
  const Axis x{xs.low, xs.high > xs.low ? xs.high : xs.low + 1}, y = value_axis(ys, chart.log_y);
  auto ticks = chart.x_ticks;
  if (ticks.empty())
    for (const double v : round_ticks(x.low, x.high, 6)) ticks.emplace_back(v, number_text(v));
  std::string drawing = grid_of(x, y, ticks);
  for (const auto& [v, name] : chart.borders) {
    if (v < x.low || v > x.high) continue;
    drawing += line(x_at(x, v), chart_top, x_at(x, v), chart_height - chart_bottom, "border");
    const bool late = x.part(v) > 0.85;
    drawing += text_at(x_at(x, v) + (late ? -3 : 3), chart_top + 9, late ? "end" : "start", name);
  }
  for (const auto& [v, name] : chart.levels) {
    drawing += line(chart_left, y_at(y, v), chart_width - chart_right, y_at(y, v), "level");
    drawing += text_at(chart_width - chart_right, y_at(y, v) - 4, "end", name);
  }
  std::string data = "{\"x\":[" + number_text(x.low) + "," + number_text(x.high) + "],\"curves\":[";
  for (const Curve& c : chart.curves) {
    drawing += path_of(c, x, y);
    if (data.back() != '[') data += ',';
    data += "{\"name\":\"" + std::to_string(c.colour) + "\",\"x\":" + list_of(c.x) + ",\"y\":" + list_of(c.y) + "}";
  }
  data += "]}";
  drawing += labels_of(chart.x_label, chart.y_label);
  std::string names;
  for (const Curve& c : chart.curves) names += (names.empty() ? "" : "|") + c.name;
  return figure(chart.title, legend_of(chart.curves), chart.summary,
                " data-chart=\"" + escaped(data) + "\" data-names=\"" + escaped(names) + "\" data-x=\"" +
                    escaped(chart.x_label) + "\"",
                drawing);
}

std::string html_of(const BarChart& chart) {
  if (chart.heights.empty()) return nothing(chart.title);
  const double most = *std::max_element(chart.heights.begin(), chart.heights.end());
  const Axis x{chart.from, chart.to}, y{0, most > 0 ? 1.06 * most : 1};
  std::vector<std::pair<double, std::string>> ticks;
  for (const double v : round_ticks(x.low, x.high, 6)) ticks.emplace_back(v, number_text(v));
  std::string drawing = grid_of(x, y, ticks), bars;
  const double wide = (chart_width - chart_left - chart_right) / static_cast<double>(chart.heights.size());
  std::vector<double> centres;
  for (size_t i = 0; i < chart.heights.size(); ++i) {
    const double at = chart_left + static_cast<double>(i) * wide, high = y_at(y, chart.heights[i]);
    centres.push_back(chart.from + (static_cast<double>(i) + 0.5) * (chart.to - chart.from) /
                                       static_cast<double>(chart.heights.size()));
    if (chart.heights[i] > 0)
      bars.append("M")
          .append(place(at + 0.5))
          .append(" ")
          .append(place(chart_height - chart_bottom))
          .append("V")
          .append(place(high))
          .append("H")
          .append(place(at + wide - 0.5))
          .append("V")
          .append(place(chart_height - chart_bottom));
  }
  drawing += "<path class=\"bars\" d=\"" + bars + "\"/>" + labels_of(chart.x_label, chart.y_label);
  const std::string data = "{\"x\":[" + number_text(x.low) + "," + number_text(x.high) +
                           "],\"curves\":[{\"x\":" + list_of(centres) + ",\"y\":" + list_of(chart.heights) + "}]}";
  return figure(chart.title, "", chart.summary,
                " data-chart=\"" + escaped(data) + "\" data-names=\"" + escaped(chart.y_label) + "\" data-x=\"" +
                    escaped(chart.x_label) + "\"",
                drawing);
}

BarChart histogram(std::vector<double> values, int bars, bool tails) {
  BarChart chart;
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  if (values.empty()) return chart;
  const auto at = [&](double part) {
    const auto nth = values.begin() + static_cast<std::ptrdiff_t>(part * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), nth, values.end());
    return *nth;
  };
  chart.from = at(tails ? 0 : 0.0005);
  chart.to = at(tails ? 1 : 0.9995);
  if (!(chart.to - chart.from > same_value * std::max(std::abs(chart.from), std::abs(chart.to)))) {
    const double room = chart.from != 0 ? 0.05 * std::abs(chart.from) : 0.5;
    chart.from -= room;
    chart.to += room;
  }
  chart.heights.assign(static_cast<size_t>(bars), 0);
  for (const double v : values) {
    const double part = (v - chart.from) / (chart.to - chart.from);
    if (part >= 0 && part <= 1) ++chart.heights[static_cast<size_t>(std::min(bars - 1.0, std::floor(part * bars)))];
  }
  return chart;
}

}  // namespace recon
