#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <numbers>
#include <numeric>

#include "kernels/runtime/device.h"
#include "tests/reference/compare.h"

using namespace recon;
using namespace recon::reference;

// Random123's kat_vectors, philox4x32 10 rounds: counter words, key words, result.
TEST_CASE("Philox: the known answers of its authors come out") {
  const auto words = [](uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
    const Philox philox{uint64_t{k1} << 32 | k0, static_cast<Purpose>(c3)};
    const u32x4 out = philox.draw(uint64_t{c1} << 32 | c0, c2);
    return std::array<uint32_t, 4>{out.v[0], out.v[1], out.v[2], out.v[3]};
  };
  const uint32_t f = 0xffffffffu;
  CHECK(words(0, 0, 0, 0, 0, 0) == std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(words(f, f, f, f, f, f) == std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(words(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0) ==
        std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("Philox: uniform numbers lie strictly between 0 and 1 for every word") {
  for (const uint32_t word :
       {0u, 1u, 255u, 256u, 0x7fffffffu, 0x80000000u, 0xfffffdffu, 0xfffffeffu, 0xffffff00u, 0xffffffffu}) {
    CHECK(uniform01(word) > 0);
    CHECK(uniform01(word) < 1);
    CHECK(std::isfinite(normal_from(word)));
  }
}

// AS 241's PPND7 is good to about 1e-7 of the quantile; a float adds 2⁻²⁴ of it, and 1 − p is exact.
TEST_CASE("Philox: normal numbers are the quantiles of their word") {
  double worst = 0;
  const auto check = [&](uint32_t word) {
    const double p = double(uniform01(word)), x = double(normal_from(word));
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    const double missed =
        p < 0.5 ? std::erfc(-x / std::numbers::sqrt2) / 2 - p : (1 - p) - std::erfc(x / std::numbers::sqrt2) / 2;
    worst = std::max(worst, std::abs(missed) / density / std::max(1.0, std::abs(x)));
  };
  for (uint64_t word = 0; word <= 0xffffffffu; word += 40503) check(static_cast<uint32_t>(word));
  for (uint32_t i = 0; i < 2000; ++i) check(i << 8), check(~(i << 8));
  MESSAGE("worst error of a quantile " << worst);
  CHECK(worst < 1e-6);
}

// Of n numbers the sample moments scatter by √(1/n), √(2/n), √(15/n), √(96/n) about 0, 1, 0, 3.
TEST_CASE("Philox: a million normal numbers have the moments of the normal distribution") {
  const Philox philox{12, Purpose::test};
  const int n = 1000000;
  double m[4] = {};
  for (int i = 0; i < n; ++i) {
    const double x = double(normal_from(philox.draw(uint64_t(i), 3).v[uint64_t(i) % 4]));
    m[0] += x / n, m[1] += x * x / n, m[2] += x * x * x / n, m[3] += x * x * x * x / n;
  }
  CHECK(std::abs(m[0]) < 4 * std::sqrt(1.0 / n));
  CHECK(std::abs(m[1] - 1) < 4 * std::sqrt(2.0 / n));
  CHECK(std::abs(m[2]) < 4 * std::sqrt(15.0 / n));
  CHECK(std::abs(m[3] - 3) < 4 * std::sqrt(96.0 / n));
}

TEST_CASE("Philox: purposes, seeds and sub-indices give streams that do not meet") {
  const auto first = [](uint64_t seed, Purpose purpose, uint32_t sub) {
    return Philox{seed, purpose}.draw(7, sub).v[0];
  };
  CHECK(first(1, Purpose::test, 0) != first(2, Purpose::test, 0));
  CHECK(first(1, Purpose::test, 0) != first(1, Purpose::shuffle, 0));
  CHECK(first(1, Purpose::test, 0) != first(1, Purpose::test, 1));
  CHECK(first(uint64_t{1} << 40, Purpose::test, 0) != first(0, Purpose::test, 0));
}

TEST_CASE("ThreadPool: every index runs once, on a worker of the pool, and failures reach the caller") {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    CHECK(pool.size() == threads);
    for (const int64_t count : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(count));
      std::atomic<bool> inside{true};
      pool.run(count, [&](int64_t index, int worker) {
        ++runs[static_cast<size_t>(index)];
        if (worker < 0 || worker >= threads) inside = false;
      });
      CHECK(inside);
      CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& n) { return n == 1; }));
    }
    CHECK_THROWS_WITH(pool.run(100,
                               [](int64_t index, int) {
                                 if (index == 37) throw std::runtime_error("at 37");
                               }),
                      "at 37");
    std::atomic<int64_t> sum{0};
    pool.run(4, [&](int64_t, int) { pool.run(10, [&](int64_t index, int) { sum += index; }); });
    CHECK(sum == 4 * 45);
    sum = 0;
    pool.for_range(1001, 10, [&](int64_t first, int64_t last) {
      CHECK(last - first <= 10);
      sum += last - first;
    });
    CHECK(sum == 1001);
  }
}

TEST_CASE("ThreadPool: what a run works on is its caller's again when it returns, however late workers wake") {
  ThreadPool pool(5);
  for (int64_t turn = 0; turn < 3000; ++turn) {
    const int64_t count = 2 + turn % 7;
    std::vector<int> seen(static_cast<size_t>(count), 0);  // freed before the next run
    const std::vector<int> ones(seen.size(), 1);
    pool.run(count, [&](int64_t index, int) { ++seen[static_cast<size_t>(index)]; });
    REQUIRE(seen == ones);
  }
}

TEST_CASE("Device: memory is aligned, counted and given back; scratch and workspace grow once") {
  const auto device = Device::cpu(2);
  {
    Buffer<float> a(*device, 3, 5), b;
    CHECK(reinterpret_cast<uintptr_t>(a.view().data) % 64 == 0);
    CHECK(device->bytes_in_use() == 60);
    const float* data = a.view().data;
    b = std::move(a);
    CHECK(b.view().data == data);
    CHECK(device->bytes_in_use() == 60);
    CHECK_THROWS_AS((void)b.shaped(4, 4), ContractError);
    CHECK_THROWS_AS(b.upload(std::vector<float>(16)), ContractError);
    CHECK(b.shaped(5, 3).row(1) == data + 3);
  }
  CHECK(device->bytes_in_use() == 0);
  CHECK(device->bytes_peak() == 60);
  device->workspace(100);
  const auto before = device->allocations();
  CHECK(device->workspace(50) == device->workspace(100));
  CHECK(device->scratch(0, 10) != device->scratch(1, 10));
  CHECK(device->allocations() == before + 2);
  CHECK_THROWS_AS(Buffer<float>(*device, int64_t{1} << 40, int64_t{1} << 40), ContractError);
}
