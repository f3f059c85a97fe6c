#include "kernels/latent/latent.h"

#include <doctest/doctest.h>

#include "tests/reference/latent_reference.h"
#include "tests/reference/test_device.h"

using namespace recon;
using namespace recon::reference;

namespace {

struct Case {
  int64_t rows = 0, width = 0;
  std::vector<float> encoded, dz;
  std::vector<int32_t> images;
  uint64_t seed = 0;
  uint32_t epoch = 0;
  float kl_scale = 0;

  /// The noise by its definition: keyed by image, epoch and component, wherever the image stands in the batch.
  Values noise() const {
    Values out;
    for (const int32_t image : images)
      for (uint32_t j = 0; j < width; ++j)
        out.push_back(
            double(normal_from(Philox{seed, Purpose::latent_noise}.draw(uint64_t(image) << 32 | epoch, j).v[0])));
    return out;
  }
};

Case random_case(uint64_t number) {
  Draws draws(number);
  Case c;
  c.rows = draws.integer(1, number % 7 == 0 ? 100 : 12);
  c.width = draws.integer(1, 16);
  c.encoded = draws.normals(c.rows * 2 * c.width, 1.2);
  c.dz = draws.normals(c.rows * c.width);
  for (int64_t b = 0; b < c.rows; ++b) c.images.push_back(draws.integer(0, 1 << 30));
  c.seed = uint64_t{draws.word()} << 32 | draws.word();
  c.epoch = static_cast<uint32_t>(draws.integer(0, 1000));
  c.kl_scale = static_cast<float>(draws.uniform(0, 2));
  return c;
}

struct Result {
  std::vector<float> z, kl, dencoded;
};

Result run(Device& d, const Case& c, float start) {
  const Buffer<float> encoded = on_device(d, c.encoded, c.rows, 2 * c.width), z(d, c.rows, c.width), kl(d, 1, c.rows),
                      dz = on_device(d, c.dz, c.rows, c.width),
                      dencoded = on_device(d, std::vector<float>(c.encoded.size(), start), c.rows, 2 * c.width);
  const Buffer<int32_t> images = on_device(d, c.images);
  reparameterize(d, Reparameterize{.encoded = encoded.view(),
                                   .images = images.view(),
                                   .z = z.view(),
                                   .kl = kl.view(),
                                   .seed = c.seed,
                                   .epoch = c.epoch});
  reparameterize_backward(d, ReparameterizeBackward{.encoded = encoded.view(),
                                                    .z = z.view(),
                                                    .dz = dz.view(),
                                                    .dencoded = dencoded.view(),
                                                    .kl_scale = c.kl_scale});
  return {z.download(), kl.download(), dencoded.download()};
}

}  // namespace

TEST_CASE(
    "Latent reference: gradients of reparameterisation, KL divergence and prior match central differences to 1e-6") {
  double worst = 0;
  for (uint64_t number = 0; number < shapes(50); ++number) {
    Case c = random_case(number);
    const auto rows = static_cast<size_t>(c.rows);
    const Values encoded = widen(c.encoded), noise = c.noise(), dz = widen(c.dz);
    const double scale = double(c.kl_scale);
    const auto objective = [&](const Values& at, Pattern&) {
      const Reparameterized r = reparameterize(rows, at, noise);
      return dot(r.z, dz) + scale * dot(r.kl, Values(rows, 1.0));
    };
    worst = std::max(
        worst, check_gradient(objective, encoded, reparameterize_backward(rows, encoded, noise, dz, scale)).error);
    const auto prior = [&](const Values& at, Pattern&) { return 0.7 * dot(latent_prior(rows, at), Values(rows, 1.0)); };
    worst = std::max(worst, check_gradient(prior, dz, latent_prior_backward(dz, 0.7)).error);
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 1e-6);
}

// exp and a few products in floats: some 2⁻²⁴ each of terms as large as the result but for z − μ, which loses what μ is
// larger than σε: a factor of ten at the far end of these draws.
TEST_CASE("Latent: values and gradients match the double reference over 200 random shapes") {
  const auto device = test_device(2);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(200); ++number) {
    const Case c = random_case(number);
    const auto rows = static_cast<size_t>(c.rows);
    const Values encoded = widen(c.encoded), noise = c.noise();
    const Reparameterized expected = reparameterize(rows, encoded, noise);
    const float start = number % 2 ? 0.5f : 0.0f;
    const Result got = run(*device, c, start);
    Values added = widen(got.dencoded);
    for (double& v : added) v -= double(start);
    worst = std::max(
        {worst, relative_error(got.z, expected.z), relative_error(got.kl, expected.kl),
         relative_error(added, reparameterize_backward(rows, encoded, noise, widen(c.dz), double(c.kl_scale)), 0.1)});
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 2e-6);
}

TEST_CASE("Latent: an image's noise depends on its number and the epoch, not on its place in the batch") {
  const auto device = test_device(1);
  Case c = random_case(3);
  c.rows = 2, c.width = 4;
  c.images = {17, 5};
  c.encoded.assign(16, 0.0f);
  c.dz.assign(8, 0.0f);
  const auto z = run(*device, c, 0).z;
  c.images = {5, 17};
  const auto swapped = run(*device, c, 0).z;
  CHECK(std::vector<float>(z.begin(), z.begin() + 4) == std::vector<float>(swapped.begin() + 4, swapped.end()));
  CHECK(std::vector<float>(z.begin() + 4, z.end()) == std::vector<float>(swapped.begin(), swapped.begin() + 4));
  c.epoch += 1;
  CHECK(run(*device, c, 0).z != swapped);
}

TEST_CASE("Latent: gathered rows, their prior and its gradient match the double reference over 100 random shapes") {
  const auto device = test_device(1);
  double worst = 0;
  for (uint64_t number = 0; number < shapes(100); ++number) {
    Draws draws(600 + number);
    const int64_t images = draws.integer(1, 30), rows = draws.integer(1, 40), width = draws.integer(1, 16);
    const auto table = draws.normals(images * width);
    const auto before = draws.normals(rows * width);
    std::vector<int32_t> numbers;
    Values expected;
    for (int64_t b = 0; b < rows; ++b) {
      numbers.push_back(draws.integer(0, static_cast<int>(images) - 1));
      for (int64_t j = 0; j < width; ++j) expected.push_back(double(table[size_t(numbers.back() * width + j)]));
    }
    const Buffer<float> from = on_device(*device, table, images, width), z(*device, rows, width),
                        prior(*device, 1, rows), dz = on_device(*device, before, rows, width);
    const Buffer<int32_t> row = on_device(*device, numbers);
    gather_latents(*device,
                   GatherLatents{.table = from.view(), .rows = row.view(), .z = z.view(), .prior = prior.view()});
    latent_prior(*device, LatentPrior{.z = z.view(), .dz = dz.view(), .scale = 0.3f});
    CHECK(widen(z.download()) == expected);
    Values gradient = latent_prior_backward(expected, double(0.3f));
    for (size_t i = 0; i < gradient.size(); ++i) gradient[i] += double(before[i]);
    worst = std::max({worst, relative_error(prior.download(), latent_prior(size_t(rows), expected)),
                      relative_error(dz.download(), gradient)});
  }
  MESSAGE("worst " << worst);
  CHECK(worst < 3e-7);  // two roundings of 2⁻²⁴ an entry
}

TEST_CASE("Latent: rows wider than a warp, empty batches, and scalars that stand on the device") {
  const auto device = test_device(1);
  Draws draws(5);
  for (const int64_t rows : {0, 1, 5}) {
    const int64_t width = 70;
    const auto given = draws.normals(rows * 2 * width), dz = draws.normals(rows * width);
    Case c{.rows = rows, .width = width, .encoded = given, .dz = dz, .seed = 9, .epoch = 12, .kl_scale = 0.4f};
    for (int64_t b = 0; b < rows; ++b) c.images.push_back(draws.integer(0, 99));
    const Result by_value = run(*device, c, 0);
    if (rows > 0) {
      const Reparameterized expected = reparameterize(size_t(rows), widen(given), c.noise());
      CHECK(relative_error(by_value.z, expected.z) < 2e-6);
      CHECK(relative_error(by_value.kl, expected.kl) < 2e-6);
    }

    const Buffer<float> encoded = on_device(*device, given, rows, 2 * width), z(*device, rows, width),
                        kl(*device, 1, rows), dvalues = on_device(*device, dz, rows, width),
                        dencoded(*device, rows, 2 * width), scale = on_device(*device, std::vector<float>{0.4f});
    const Buffer<int32_t> images = on_device(*device, c.images);
    const Buffer<uint32_t> epoch = on_device(*device, std::vector<uint32_t>{12});
    dencoded.zero();
    reparameterize(*device, Reparameterize{.encoded = encoded.view(),
                                           .images = images.view(),
                                           .z = z.view(),
                                           .kl = kl.view(),
                                           .seed = 9,
                                           .epoch = Scalar<uint32_t>(epoch.view().data)});
    reparameterize_backward(*device, ReparameterizeBackward{.encoded = encoded.view(),
                                                            .z = z.view(),
                                                            .dz = dvalues.view(),
                                                            .dencoded = dencoded.view(),
                                                            .kl_scale = Scalar<float>(scale.view().data)});
    CHECK(z.download() == by_value.z);
    CHECK(kl.download() == by_value.kl);
    CHECK(dencoded.download() == by_value.dencoded);
    const Buffer<float> prior(*device, 1, rows);
    const Buffer<int32_t> order = on_device(*device, std::vector<int32_t>(size_t(rows), 0));
    gather_latents(
        *device,
        GatherLatents{
            .table = encoded.shaped(2 * rows, width), .rows = order.view(), .z = z.view(), .prior = prior.view()});
    latent_prior(*device, LatentPrior{.z = z.view(), .dz = dvalues.view(), .scale = Scalar<float>(scale.view().data)});
    const Values gathered = widen(z.download());
    if (rows > 0) CHECK(relative_error(prior.download(), latent_prior(size_t(rows), gathered)) < 3e-7);
    Values gradient = latent_prior_backward(gathered, double(0.4f));
    for (size_t i = 0; i < gradient.size(); ++i) gradient[i] += double(dz[i]);
    CHECK(relative_error(dvalues.download(), gradient) < 3e-7);
  }
}

TEST_CASE("Latent: shapes that do not fit are refused at the seam") {
  const auto device = test_device(1);
  const Buffer<float> encoded(*device, 2, 5), z(*device, 2, 3), kl(*device, 1, 2);
  const Buffer<int32_t> images(*device, 1, 2);
  CHECK_THROWS_AS(
      reparameterize(
          *device, Reparameterize{.encoded = encoded.view(), .images = images.view(), .z = z.view(), .kl = kl.view()}),
      ContractError);
  CHECK_THROWS_AS(latent_prior(*device, LatentPrior{.z = z.view(), .dz = encoded.view()}), ContractError);
}
