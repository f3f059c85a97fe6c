#pragma once
// One training step of the paper authors' code of January 2020 (shared/data/SOURCES.md), in our orders of pixels and
// weights.
#include <map>

#include "kernels/decoder/decoder.h"
#include "tests/reference/compare.h"
#include "tests/reference/files.h"

namespace recon::reference {

struct AuthorsStep {
  static constexpr int side = 32, per_axis = 16, layers = 10;
  static constexpr DecoderShape shape{.features = 3 * per_axis, .width = 128, .layers = layers};

  std::map<std::string, Array> file;
  std::vector<Pixel> pixels;        // paired: 2j + 1 is the opposite of 2j
  std::vector<size_t> their_pixel;  // of each of ours

  AuthorsStep(const std::filesystem::path& path, const std::vector<Pixel>& ours) : file(read_npz(path)), pixels(ours) {
    std::map<std::pair<int, int>, size_t> at;
    const Array& k = file.at("coords0");
    const auto frequency = [&](int64_t i, int64_t axis) { return static_cast<int>(std::lrint(k(i, axis) * side)); };
    for (int64_t i = 0; i < k.rows(); ++i) at[{frequency(i, 0), frequency(i, 1)}] = static_cast<size_t>(i);
    for (const Pixel p : ours) their_pixel.push_back(at.at({p.x, p.y}));
  }
  /// All pixels of the circle, in pairs.
  static std::vector<Pixel> all_pixels() {
    std::vector<Pixel> out;
    for (int y = 0; y <= side / 2; ++y)
      for (int x = y == 0 ? 1 : -side / 2; x <= side / 2; ++x)
        for (const int sign : {1, -1})
          if (x * x + y * y <= side * side / 4)
            out.push_back({static_cast<int16_t>(sign * x), static_cast<int16_t>(sign * y)});
    return out;
  }
  /// Where column j of our encoding [sin F | cos F] stands in theirs, [sin E, cos E] an axis.
  static size_t their_column(size_t ours) {
    const size_t features = 3 * per_axis, within = ours % features;
    return within / per_axis * 2 * per_axis + ours / features * per_axis + within % per_axis;
  }
  static std::vector<float> narrow(const Array& array) { return reference::narrow(array.values); }
  /// [B, P] in our order of pixels.
  std::vector<float> images(const std::string& name) const {
    const Array& from = file.at(name);
    std::vector<float> out;
    for (int64_t b = 0; b < from.rows(); ++b)
      for (const size_t p : their_pixel) out.push_back(static_cast<float>(from(b, static_cast<int64_t>(p))));
    return out;
  }
  /// Tensors w0, g or w1 of a layer (0 the input, 11 the output) in our flat layout's order: weight, then bias.
  std::vector<float> layer(const std::string& kind, int number) const {
    const std::string name =
        kind + "/decoder.main." + std::to_string(2 * number) + (number == 0 || number > layers ? "" : ".linear");
    const Array &weight = file.at(name + ".weight"), &bias = file.at(name + ".bias");
    std::vector<float> out;
    for (int64_t i = 0; i < weight.rows(); ++i)
      for (int64_t j = 0; j < weight.columns(); ++j)
        out.push_back(static_cast<float>(weight(i, number == 0 ? int64_t(their_column(size_t(j))) : j)));
    out.insert(out.end(), bias.values.begin(), bias.values.end());
    return out;
  }
  std::vector<float> parameters(const std::string& kind) const {
    std::vector<float> out;
    for (int i = 0; i <= layers + 1; ++i) {
      const auto some = layer(kind, i);
      out.insert(out.end(), some.begin(), some.end());
    }
    return out;
  }

  static std::vector<float> tensor_of(const std::vector<float>& flat, int layer) {
    const auto from = shape.weight_offset(layer),
               to = layer > layers ? shape.parameter_count() : shape.weight_offset(layer + 1);
    return {flat.begin() + from, flat.begin() + to};
  }
  /// Worst error of a tensor's gradient, of its largest element.
  double gradient_error(const std::vector<float>& flat) const {
    double worst = 0;
    for (int i = 0; i <= layers + 1; ++i) worst = std::max(worst, largest_error(tensor_of(flat, i), layer("g", i)));
    return worst;
  }
  /// Worst error of the weights after Adam, of a tensor's largest, where the sign of the gradient is certain: where it
  /// is 1e-4 of the tensor's largest at least, which a relu on another side cannot turn.
  struct Weights {
    double worst = 0;
    int64_t uncertain = 0;
  };
  Weights compare_weights(const std::vector<float>& flat) const {
    const auto largest = [](const std::vector<float>& v) {
      double most = 0;
      for (const float x : v) most = std::max(most, std::abs(double(x)));
      return most;
    };
    Weights out;
    for (int i = 0; i <= layers + 1; ++i) {
      const auto g = layer("g", i), w = layer("w1", i), ours = tensor_of(flat, i);
      const double certain = 1e-4 * largest(g), scale = largest(w);
      for (size_t j = 0; j < g.size(); ++j) {
        if (std::abs(double(g[j])) < certain)
          ++out.uncertain;
        else
          out.worst = std::max(out.worst, std::abs(double(ours[j]) - double(w[j])) / scale);
      }
    }
    return out;
  }
};

}  // namespace recon::reference
