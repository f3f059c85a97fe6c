#include "kernels/table/table.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/reference/compare.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

TEST_CASE("Table: gathered rows are the named rows, and scattering them puts back what was there") {
  const auto device = test_device(2);
  for (uint64_t number = 0; number < shapes(100); ++number) {
    Draws draws(number);
    const int64_t rows = draws.integer(1, 60), columns = draws.integer(1, 30);
    const auto values = draws.normals(rows * columns);
    std::vector<int32_t> named;
    for (int32_t r = 0; r < rows; ++r)
      if (r == 0 || draws.coin()) named.insert(named.begin() + draws.integer(0, static_cast<int>(named.size())), r);
    const auto count = static_cast<int64_t>(named.size());
    const Buffer<float> table = on_device(*device, values, rows, columns), some(*device, count, columns),
                        other(*device, rows, columns);
    const Buffer<int32_t> which = on_device(*device, named);
    gather_rows(*device, GatherRows{.from = table.view(), .rows = which.view(), .to = some.view()});
    const auto gathered = some.download();
    for (int64_t b = 0; b < count; ++b)
      CHECK(std::equal(gathered.begin() + b * columns, gathered.begin() + (b + 1) * columns,
                       values.begin() + named[size_t(b)] * columns));
    other.zero();
    scatter_rows(*device, ScatterRows{.from = some.view(), .rows = which.view(), .to = other.view()});
    std::vector<float> expected(values.size(), 0.0f);
    for (const int32_t r : named) std::copy_n(values.begin() + r * columns, columns, expected.begin() + r * columns);
    CHECK(other.download() == expected);
  }
  const Buffer<float> wide(*device, 2, 3), narrow(*device, 2, 2);
  const Buffer<int32_t> two(*device, 1, 2);
  CHECK_THROWS_AS(gather_rows(*device, GatherRows{.from = wide.view(), .rows = two.view(), .to = narrow.view()}),
                  ContractError);
}

TEST_CASE("Table: rows are taken one after the other, of any width, and no rows are no work") {
  const auto device = test_device(2);
  Draws draws(1);
  for (const int64_t columns : {1, 7, 256, 300}) {
    std::vector<int32_t> rows;
    for (int64_t i = 0; i < 5 * columns; ++i) rows.push_back(draws.integer(-9, 9));
    const Buffer<int32_t> from = on_device(*device, rows, 5, columns), to(*device, 1, columns),
                          cursor = on_device(*device, std::vector<int32_t>{1});
    for (int32_t row = 1; row < 5; ++row) {
      take_row(*device, TakeRow{.from = from.view(), .cursor = cursor.view(), .to = to.view()});
      CHECK(to.download() == std::vector<int32_t>(rows.begin() + row * columns, rows.begin() + (row + 1) * columns));
      CHECK(cursor.download() == std::vector<int32_t>{row + 1});
    }
  }
  const Buffer<float> table = on_device(*device, draws.normals(6), 2, 3), none(*device, 0, 3);
  const Buffer<int32_t> nothing(*device, 1, 0);
  const auto before = table.download();
  gather_rows(*device, GatherRows{.from = table.view(), .rows = nothing.view(), .to = none.view()});
  scatter_rows(*device, ScatterRows{.from = none.view(), .rows = nothing.view(), .to = table.view()});
  CHECK(table.download() == before);
}

TEST_CASE("Table: numbers kept in 16 bits are the nearest there are, of two as near the even one") {
  const auto device = test_device(2);
  std::vector<uint16_t> every(65536);
  for (size_t i = 0; i < every.size(); ++i) every[i] = static_cast<uint16_t>(i);
  // What a half means: (-1)^s 2^(e-15) (1 + m/1024), below e = 1: 2^-14 m/1024.
  const auto meaning = [](int h) {
    const int e = h >> 10 & 31, m = h & 1023;
    return (h & 0x8000 ? -1.0 : 1.0) * (e == 0 ? std::ldexp(m, -24) : std::ldexp(1024 + m, e - 25));
  };
  const auto finite = [](int h) { return (h & 0x7c00) != 0x7c00; };
  const Buffer<uint16_t> halves = on_device(*device, every, 256, 256);
  const Buffer<float> wide(*device, 256, 256);
  std::vector<int32_t> rows(256);
  for (int32_t i = 0; i < 256; ++i) rows[size_t(i)] = i;
  const Buffer<int32_t> all = on_device(*device, rows);
  widen_rows(*device, WidenRows{.from = halves.view(), .rows = all.view(), .to = wide.view()});
  const auto values = wide.download();
  int64_t wrong = 0;
  for (int h = 0; h < 65536; ++h) wrong += finite(h) && double(values[size_t(h)]) != meaning(h);
  CHECK(wrong == 0);
  CHECK(std::isnan(values[0x7e00]));
  CHECK(values[0xfc00] == -std::numeric_limits<float>::infinity());

  Draws draws(2);
  std::vector<float> floats;
  for (size_t i = 0; i < 65536; ++i) {
    const int h = draws.integer(0, 0x7bfe);
    const double low = meaning(h), high = meaning(h + 1),
                 value = i % 4 == 0 ? (low + high) / 2 : draws.uniform(low, high);
    floats.push_back(static_cast<float>(i % 2 ? -value : value));
  }
  const Buffer<float> from = on_device(*device, floats, 256, 256);
  const Buffer<uint16_t> to(*device, 256, 256);
  narrow(*device, Narrow{.from = from.view(), .to = to.view()});
  const auto rounded = to.download();
  for (size_t i = 0; i < floats.size(); ++i) {
    const int h = rounded[i] & 0x7fff;
    const double size = std::abs(double(floats[i])), error = std::abs(meaning(h) - size);
    const double above = finite(h + 1) ? std::abs(meaning(h + 1) - size) : 1e9;
    const double below = h > 0 ? std::abs(meaning(h - 1) - size) : 1e9, other = std::min(above, below);
    wrong += !(error < other || (error == other && h % 2 == 0)) || (rounded[i] >> 15 != 0) != std::signbit(floats[i]);
  }
  CHECK(wrong == 0);
  const Buffer<float> large = on_device(*device, std::vector<float>{65520, -1e30f, 65519}, 1, 3);
  const Buffer<uint16_t> three(*device, 1, 3);
  narrow(*device, Narrow{.from = large.view(), .to = three.view()});
  CHECK(three.download() == std::vector<uint16_t>{0x7c00, 0xfc00, 0x7bff});
  CHECK_THROWS_AS(narrow(*device, Narrow{.from = from.view(), .to = three.view()}), ContractError);
}
