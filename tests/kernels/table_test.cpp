#include "kernels/table/table.h"

#include <doctest/doctest.h>

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
