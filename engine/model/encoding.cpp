#include "engine/model/encoding.h"

#include <cmath>
#include <numbers>
#include <stdexcept>

#include "kernels/runtime/philox.h"

namespace recon {
namespace {

std::vector<float> per_axis_family(const std::vector<double>& radians) {
  const size_t count = radians.size();
  std::vector<float> out(9 * count, 0.0f);
  for (size_t axis = 0; axis < 3; ++axis)
    for (size_t i = 0; i < count; ++i)
      out[axis * 3 * count + axis * count + i] = static_cast<float>(radians[i] / (2 * std::numbers::pi));
  return out;
}

}  // namespace

Encoding encoding_from_name(const std::string& name) {
  for (const Encoding e : {Encoding::geometric, Encoding::geometric_low, Encoding::gaussian})
    if (encoding_name(e) == name) return e;
  throw std::invalid_argument("encoding '" + name + "' is unknown; choose geometric, geometric-low or gaussian");
}

std::string encoding_name(Encoding encoding) {
  switch (encoding) {
    case Encoding::geometric:
      return "geometric";
    case Encoding::geometric_low:
      return "geometric-low";
    case Encoding::gaussian:
      return "gaussian";
  }
  return "";
}

std::vector<float> encoding_frequencies(Encoding encoding, int side, int per_axis, double sigma, uint64_t seed) {
  if (encoding == Encoding::gaussian) {
    const int count = 3 * per_axis;
    std::vector<float> out(static_cast<size_t>(3 * count));
    const Philox random{seed, Purpose::encoding};
    for (int i = 0; i < 3 * count; ++i)
      out[static_cast<size_t>(i)] = static_cast<float>(sigma * (side / 2) / (2 * std::numbers::pi)) *
                                    normal_from(random.draw(static_cast<uint64_t>(i)).v[0]);
    return out;
  }
  std::vector<double> radians;
  const int skip = encoding == Encoding::geometric_low ? (per_axis + 9) / 10 : 0;
  for (int i = skip; i < per_axis; ++i)
    radians.push_back(side * std::numbers::pi * std::pow(2.0 / side, per_axis > 1 ? i / double(per_axis - 1) : 0.0));
  return per_axis_family(radians);
}

}  // namespace recon
