#include <doctest/doctest.h>

#include <set>

#include "bench/bench.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::bench;

namespace {

const Options tiny{.sizes = {{.box = 16, .width = 64, .layers = 1, .latent = 0, .batch = 2, .rotations = 4}},
                   .seconds = 0,
                   .flush_bytes = 4096};

std::vector<Row> rows_of(Device& device, const Options& options) {
  std::vector<Row> rows;
  run(device, options, [&](const Row& row) { rows.push_back(row); });
  return rows;
}

}  // namespace

TEST_CASE("Bench: every variant of every operation is as close to its definition as it claims, and is timed") {
  const auto device = reference::test_device(2);
  const Ceilings ceilings = ceilings_of(*device);
  std::set<std::string> operations;
  for (const Row& row : rows_of(*device, tiny)) {
    INFO(row.operation << ", " << row.variant);
    CHECK(row.right());
    CHECK(row.timing.repeats >= 1);
    CHECK(row.timing.median_s > 0);
    CHECK(row.timing.p10_s <= row.timing.median_s);
    CHECK(row.timing.median_s <= row.timing.p90_s);
    CHECK(row.work.bytes > 0);
    CHECK(share(row, ceilings).of > 0);
    CHECK((row.tolerance > 0) == (row.operation != "training step"));
    operations.insert(row.operation);
  }
  CHECK(operations.size() == all_operations().size());
}

TEST_CASE(
    "Bench: operations and variants are chosen by parts of their names, and a size that makes no difference once") {
  const auto device = reference::test_device(1);
  Options options = tiny;
  options.sizes.push_back(options.sizes[0]);
  options.sizes.back().latent = 1;
  options.operation = "Hartley";
  CHECK(rows_of(*device, options).size() == 1);
  options.operation = "Adam";
  CHECK(rows_of(*device, options).size() == 2);
  options.variant = "none of these";
  CHECK(rows_of(*device, options).empty());
}
