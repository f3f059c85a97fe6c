#include "bench/bench.h"

#include <cstdio>
#include <map>
#include <optional>

#include "apps/common.h"
#include "apps/options.h"
#include "io/atomic_file.h"
#include "io/strict_json.h"

namespace recon::apps {
namespace {

constexpr const char* precision_names[] = {"fp32", "bf16", "fp16", "tf32"};

std::string time_text(double seconds) {
  char text[32];
  if (seconds >= 1)
    std::snprintf(text, sizeof text, "%.2f s", seconds);
  else if (seconds >= 1e-3)
    std::snprintf(text, sizeof text, "%.2f ms", 1e3 * seconds);
  else
    std::snprintf(text, sizeof text, "%.1f us", 1e6 * seconds);
  return text;
}

Json row_json(const bench::Row& r, const bench::Ceilings& ceilings) {
  const bench::Share share = bench::share(r, ceilings);
  return {{"operation", r.operation},
          {"shape", r.shape},
          {"variant", r.variant},
          {"precision", precision_names[static_cast<int>(r.precision)]},
          {"flops", r.work.flops},
          {"bytes", r.work.bytes},
          {"error", r.error},
          {"tolerance", r.tolerance},
          {"repeats", r.timing.repeats},
          {"median_s", r.timing.median_s},
          {"p10_s", r.timing.p10_s},
          {"p90_s", r.timing.p90_s},
          {"ceiling_share", share.of},
          {"ceiling", share.products ? "products" : "copies"},
          {"processor_busy", r.timing.busy},
          {"page_faults", r.timing.page_faults},
          {"allocations", r.timing.allocations}};
}

/// Medians of an earlier result by operation, shape and variant.
std::map<std::string, double> earlier_medians(const std::string& file) {
  std::map<std::string, double> out;
  const nlohmann::json old = io::parse_json(io::FileSource(file));
  try {
    for (const auto& row : old.at("rows"))
      out[row.at("operation").get<std::string>() + row.at("shape").get<std::string>() +
          row.at("variant").get<std::string>()] = row.at("median_s").get<double>();
  } catch (const nlohmann::json::exception& e) {
    throw io::InputError({.file = file,
                          .problem = std::string("not a result of reconstruct bench: ") + e.what(),
                          .repair = "give a file that bench -o wrote"});
  }
  return out;
}

/// A Markdown table, a line as soon as it is known.
class Table {
 public:
  Table(const bench::Ceilings& ceilings, std::map<std::string, double> earlier)
      : ceilings_(ceilings), earlier_(std::move(earlier)) {}
  void add(const bench::Row& r) {
    if (r.operation + r.shape != group_) {
      group_ = r.operation + r.shape;
      std::printf(
          "\n**%s**, %s\n\n| variant | median | p10 to p90 | Gflop/s | GB/s | of the ceiling | busy | error |%s\n",
          r.operation.c_str(), r.shape.c_str(), earlier_.empty() ? "" : " earlier |");
      std::printf("|---|---|---|---|---|---|---|---|%s\n", earlier_.empty() ? "" : "---|");
    }
    const bench::Timing& t = r.timing;
    if (!r.right()) {
      std::printf("| %s | WRONG: error %.2g, allowed %.2g |\n", r.variant.c_str(), r.error, r.tolerance);
      return;
    }
    const bench::Share share = bench::share(r, ceilings_);
    std::printf("| %s | %s | %s to %s | %.1f | %.1f | %.0f %% of %s | %.0f %% | ", r.variant.c_str(),
                time_text(t.median_s).c_str(), time_text(t.p10_s).c_str(), time_text(t.p90_s).c_str(),
                1e-9 * r.work.flops / t.median_s, 1e-9 * r.work.bytes / t.median_s, 100 * share.of,
                share.products ? "products" : "copies", 100 * t.busy);
    r.tolerance > 0 ? std::printf("%.1g |", r.error) : std::printf("– |");
    if (const auto old = earlier_.find(group_ + r.variant); old != earlier_.end())
      std::printf(" %.2f x |", old->second / t.median_s);
    std::printf("\n");
    std::fflush(stdout);
  }

 private:
  bench::Ceilings ceilings_;
  std::map<std::string, double> earlier_;
  std::string group_;
};

}  // namespace

int run_bench(const BenchOptions& options) {
  const auto earlier = options.compare.empty() ? std::map<std::string, double>{} : earlier_medians(options.compare);
  for (const int box : options.box)
    if (box % 2 != 0)
      throw UsageError("bench: --box " + std::to_string(box) + ": images have an even number of pixels");
  stop_on_signals();
  std::optional<io::AtomicFile> output;
  if (!options.output.empty()) output.emplace(options.output);
  const auto device = open_device(options.common);
  bench::Options o{.operation = options.operation,
                   .variant = options.variant,
                   .seconds = options.seconds,
                   .threads = device->threads().size()};
  for (const int box : options.box)
    for (const int width : options.width)
      for (const int layers : options.layers)
        for (const int latent : options.latent)
          for (const int batch : options.batch) o.sizes.push_back({box, width, layers, latent, batch});
  const bench::Ceilings ceilings = bench::ceilings_of(*device);
  Json result = {{"version", RECON_VERSION},
                 {"device", device->name()},
                 {"copies_bytes_per_s", ceilings.bytes_per_s},
                 {"products_flops_per_s", ceilings.flops_per_s},
                 {"rows", Json::array()}};
  const bool table = !options.common.json;
  if (table)
    std::printf("%s: large copies %.1f GB/s, large fp32 products %.1f Gflop/s\n", device->name().c_str(),
                1e-9 * ceilings.bytes_per_s, 1e-9 * ceilings.flops_per_s[0]);
  Table lines(ceilings, earlier);
  bool right = true;
  bench::run(*device, o, [&](const bench::Row& row) {
    throw_if_stopped();
    result["rows"].push_back(row_json(row, ceilings));
    right &= row.right();
    if (table) lines.add(row);
  });
  if (result["rows"].empty())
    throw UsageError("bench: no operation is named like '" + options.operation + "', or no variant like '" +
                     options.variant + "'");
  if (options.common.json) print_result(result, true);
  if (output) {
    output->write(io::json_text(result, 1) + "\n");
    output->commit();
  }
  if (!right) throw DeviceError("a variant is further from the definition than its tolerance");
  return io::ok;
}

}  // namespace recon::apps
