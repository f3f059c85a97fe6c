#include "engine/train/subset.h"

#include <algorithm>

#include "kernels/table/table.h"

namespace recon {

std::vector<int32_t> half_set(const io::ParticleTable& particles, int half) {
  std::vector<int32_t> out;
  for (int32_t i = 0; i < particles.size(); ++i)
    if ((particles.has_half_sets ? particles.half_set[static_cast<size_t>(i)] : 1 + i % 2) == half) out.push_back(i);
  return out;
}

std::vector<int32_t> spread_images(int64_t all, int64_t some) {
  std::vector<int32_t> out;
  for (int64_t i = 0; i < some; ++i) out.push_back(static_cast<int32_t>(i * all / some));
  return out;
}

Dataset subset(Device& device, const Dataset& data, const std::vector<int32_t>& images) {
  Dataset out;
  out.side = data.side;
  out.pixel_size_angstrom = data.pixel_size_angstrom;
  out.count = static_cast<int64_t>(images.size());
  out.host_pixels = data.host_pixels;
  out.scale = data.scale;
  out.pixels = Buffer<Pixel>(device, data.host_pixels);
  if (data.images.empty()) {
    out.halves = data.halves;
    out.host_images = data.host_images;
    out.stored_rows = images;
  } else {
    out.images = Buffer<float>(device, out.count, data.pixel_count());
    const Buffer<int32_t> rows(device, images);
    gather_rows(device, GatherRows{.from = data.images.view(), .rows = rows.view(), .to = out.images.view()});
  }
  if (!data.ctf.empty()) {
    const auto all = data.ctf.download();
    std::vector<CtfParameters> some;
    for (const int32_t i : images) some.push_back(all[static_cast<size_t>(i)]);
    out.ctf = Buffer<CtfParameters>(device, some);
  }
  return out;
}

std::vector<float> rows_of(std::span<const float> all, const std::vector<int32_t>& rows, size_t width) {
  std::vector<float> out;
  out.reserve(width * rows.size());
  for (const int32_t i : rows) {
    const auto row = all.subspan(static_cast<size_t>(i) * width, width);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

void put_rows(std::vector<float>& all, const std::vector<int32_t>& rows, size_t width, std::span<const float> some) {
  for (size_t i = 0; i < rows.size(); ++i)
    std::copy_n(some.begin() + static_cast<std::ptrdiff_t>(i * width), width,
                all.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(rows[i]) * width));
}

}  // namespace recon
