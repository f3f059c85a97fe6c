#pragma once
// The reconstruction loss (paper eq. 3) as it is defined, in doubles: never optimised.
#include "tests/reference/compare.h"

namespace recon::reference {

/// loss[b] = Σ_p (ctf · prediction − target)²; ctf empty: 1.
inline Values squared_error(size_t rows, const Values& prediction, const Values& target, const Values& ctf) {
  const size_t columns = rows == 0 ? 0 : prediction.size() / rows;
  Values loss(rows);
  for (size_t i = 0; i < prediction.size(); ++i) {
    const double e = (ctf.empty() ? 1 : ctf[i]) * prediction[i] - target[i];
    loss[i / columns] += e * e;
  }
  return loss;
}

/// Gradient of scale · Σ_b loss[b] by the prediction.
inline Values squared_error_backward(const Values& prediction, const Values& target, const Values& ctf, double scale) {
  Values out;
  for (size_t i = 0; i < prediction.size(); ++i) {
    const double c = ctf.empty() ? 1 : ctf[i];
    out.push_back(2 * scale * c * (c * prediction[i] - target[i]));
  }
  return out;
}

}  // namespace recon::reference
