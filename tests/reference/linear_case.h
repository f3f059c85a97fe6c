#pragma once
// Random fully connected layers.
#include <algorithm>
#include <cmath>

#include "tests/reference/linear_reference.h"

namespace recon::reference {

struct LinearCase {
  LinearShape shape;
  std::vector<float> x, w, b, dy;
};

inline LinearCase random_linear_case(uint64_t seed) {
  Draws draws(seed);
  LinearCase c;
  LinearShape& s = c.shape;
  s = {.rows = draws.integer(1, 20),
       .inner = draws.integer(1, 40),
       .outputs = draws.integer(1, 40),
       .relu = draws.coin(),
       .residual = draws.coin()};
  if (seed % 5 == 0) s.inner = draws.integer(200, 600), s.outputs = draws.integer(1, 9);
  if (seed % 5 == 1) s.outputs = draws.integer(60, 200);
  if (seed % 5 == 2) s.rows = draws.integer(60, 130), s.inner = draws.integer(1, 9);
  if (seed % 25 == 0) s.inner = draws.integer(1000, 3000);
  if (s.residual) s.outputs = s.inner = std::min(s.inner, s.outputs);
  c.x = draws.normals(s.rows * s.inner);
  c.w = draws.normals(s.outputs * s.inner, 1 / std::sqrt(double(s.inner)));
  c.b = draws.normals(s.outputs);
  c.dy = draws.normals(s.rows * s.outputs);
  return c;
}

}  // namespace recon::reference
