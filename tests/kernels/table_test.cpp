#include "kernels/table/table.h"

#include <doctest/doctest.h>

#include "tests/reference/compare.h"

using namespace recon;
using namespace recon::reference;

TEST_CASE("Table: gathered rows are the named rows, and scattering them puts back what was there") {
  const auto device = Device::cpu(2);
  for (uint64_t number = 0; number < 100; ++number) {
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
