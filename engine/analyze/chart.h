#pragma once
#include <string>
#include <utility>
#include <vector>

namespace recon {

/// Charts as inline SVG: colours come from the page's style (classes c0 .. c6), which has a light and a dark set. A
/// chart keeps its numbers in an attribute, from which the page's script shows the value under the pointer.

/// Points joined by a line; those that are not finite (or not positive on a logarithmic axis) interrupt it.
struct Curve {
  std::string name;
  std::vector<double> x, y;
  int colour = 0;
};

struct LineChart {
  std::string title, x_label, y_label;
  std::string summary;  ///< what the chart shows, in words: for those who cannot see it
  std::vector<Curve> curves;
  bool log_y = false;
  std::vector<std::pair<double, std::string>> levels;   ///< horizontal lines and their names
  std::vector<std::pair<double, std::string>> borders;  ///< vertical lines and their names
  std::vector<std::pair<double, std::string>> x_ticks;  ///< instead of round numbers
};

struct BarChart {
  std::string title, x_label, y_label;
  std::string summary;
  double from = 0, to = 1;      ///< ends of the axis
  std::vector<double> heights;  ///< of equal intervals
};

/// Name of a colour in the page's style.
std::string colour_class(int colour);

/// A <figure> with its title, legend and SVG; without a point to draw, the title and a sentence.
std::string html_of(const LineChart& chart);
std::string html_of(const BarChart& chart);

/// Bars of `values` over [low, high], cut to where all but a thousandth of them lie where `tails` are to be left out.
BarChart histogram(std::vector<double> values, int bars, bool tails = true);

/// Round numbers within [low, high], about `count` of them.
std::vector<double> round_ticks(double low, double high, int count);

}  // namespace recon
