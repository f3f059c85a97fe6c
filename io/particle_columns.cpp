#include "io/particle_columns.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "io/error.h"

namespace recon::io {
namespace {

constexpr std::string_view kGroup = "_rlnOpticsGroup";

}  // namespace

ParticlePlace find_particle_table(const StarDocument& document) {
  const std::vector<StarBlock>& blocks = document.blocks();
  const auto has_images = [](const StarLoop& loop) { return loop.column("_rlnImageName") >= 0; };
  auto chosen = blocks.end();
  for (const std::string_view name : {"particles", "images", ""})
    if (chosen == blocks.end())
      chosen = std::find_if(blocks.begin(), blocks.end(), [&](const StarBlock& block) { return block.name == name; });
  if (chosen == blocks.end())
    chosen = std::find_if(blocks.begin(), blocks.end(), [&](const StarBlock& block) {
      return std::any_of(block.loops.begin(), block.loops.end(), has_images);
    });
  if (chosen == blocks.end())
    throw InputError({.file = document.name(),
                      .problem = "no particle table (data_particles, data_images or data_)",
                      .repair = "give a particle STAR file"});
  const auto refuse = [&](const std::string& problem, const std::string& repair) {
    throw InputError({document.name(), "line " + std::to_string(chosen->line),
                      std::string("data_").append(chosen->name), "", problem, repair});
  };
  const auto named =
      std::count_if(blocks.begin(), blocks.end(), [&](const StarBlock& block) { return block.name == chosen->name; });
  if (named > 1) refuse("there are " + std::to_string(named) + " blocks of this name", "keep one of them");
  if (chosen->loops.empty()) refuse("the block holds no table", "give a particle STAR file");
  const auto loop = std::find_if(chosen->loops.begin(), chosen->loops.end(), has_images);
  return {static_cast<size_t>(chosen - blocks.begin()),
          loop == chosen->loops.end() ? 0 : static_cast<size_t>(loop - chosen->loops.begin())};
}

ParticleColumns::ParticleColumns(const StarDocument& document) : file_(document.name()) {
  const ParticlePlace place = find_particle_table(document);
  particles_ = &document.blocks()[place.block].loops[place.loop];
  if (particles_->rows() == 0)
    throw InputError(
        {.file = file_, .problem = "the particle table has no rows", .repair = "give a file with particles"});
  const StarBlock* optics = document.find("optics");
  if (optics && !optics->loops.empty()) join_optics(*optics);
}

void ParticleColumns::join_optics(const StarBlock& block) {
  optics_ = &block.loops.front();
  optics_row_.assign(static_cast<size_t>(particles_->rows()), 0);
  const int group = optics_->column(kGroup), of_particle = particles_->column(kGroup);
  if (group < 0 || of_particle < 0) {
    if (optics_->rows() != 1)
      refuse_missing(kGroup, "the optics table has " + std::to_string(optics_->rows()) + " rows and nothing joins them",
                     "add the column to both tables");
    warnings.push_back("no _rlnOpticsGroup joins particles and optics; the only optics row is used for all");
    used_rows_ = {0};
    return;
  }
  std::unordered_map<std::string_view, uint32_t> row_of;
  optics_->for_each_row([&](int64_t row, auto cells) {
    const std::string_view name = cells[static_cast<size_t>(group)];
    if (!row_of.emplace(name, static_cast<uint32_t>(row)).second)
      refuse(*optics_, row, kGroup, name, "the optics group stands twice", "give each group its own number");
  });
  std::vector<bool> used(static_cast<size_t>(optics_->rows()), false);
  particles_->for_each_row([&](int64_t row, auto cells) {
    const std::string_view name = cells[static_cast<size_t>(of_particle)];
    const auto found = row_of.find(name);
    if (found == row_of.end())
      refuse(*particles_, row, kGroup, name, "no such group in the optics table", "add it to data_optics");
    optics_row_[static_cast<size_t>(row)] = found->second;
    used[found->second] = true;
  });
  for (size_t row = 0; row < used.size(); ++row)
    if (used[row]) used_rows_.push_back(static_cast<int64_t>(row));
}

void ParticleColumns::refuse(const StarLoop& loop, int64_t row, std::string_view label, std::string_view value,
                             const std::string& problem, const std::string& repair) const {
  throw InputError({file_, "line " + std::to_string(loop.line(row)), std::string(label),
                    std::string(value.substr(0, 200)), problem, repair});
}

void ParticleColumns::refuse_value(int64_t particle, std::string_view label, double value, const std::string& problem,
                                   const std::string& repair) const {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  const bool shared = particles_->column(label) < 0 && optics_column(label) >= 0;
  refuse(shared ? *optics_ : *particles_, shared ? optics_row_[static_cast<size_t>(particle)] : particle, label, text,
         problem, repair);
}

void ParticleColumns::refuse_missing(std::string_view label, const std::string& why, const std::string& repair) const {
  throw InputError({file_, "", std::string(label), "", "the column is missing: " + why, repair});
}

double ParticleColumns::number(const StarLoop& loop, int64_t row, std::string_view label, std::string_view cell) const {
  const std::string_view digits = cell.starts_with('+') ? cell.substr(1) : cell;
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool whole = error == std::errc() && end == digits.data() + digits.size() && !digits.empty();
  if (whole && std::isfinite(value)) return value;
  if (whole || error == std::errc::result_out_of_range)
    refuse(loop, row, label, cell, "not a finite number", "correct or remove the row");
  refuse(loop, row, label, cell, "not a number",
         cell.find(',') != std::string_view::npos ? "write decimals with a point" : "correct or remove the row");
}

void ParticleColumns::prefetch(std::span<const std::string_view> labels) {
  struct Wanted {
    std::string_view label;
    size_t column;
    std::vector<double>* values;
  };
  std::vector<Wanted> wanted;
  for (const std::string_view label : labels)
    if (const int column = particles_->column(label); column >= 0) {
      std::vector<double>& values = prefetched_[label];
      values.resize(static_cast<size_t>(particles_->rows()));
      wanted.push_back({label, static_cast<size_t>(column), &values});
    }
  particles_->for_each_row([&](int64_t row, auto cells) {
    for (const Wanted& one : wanted)
      (*one.values)[static_cast<size_t>(row)] = number(*particles_, row, one.label, cells[one.column]);
  });
}

std::vector<double> ParticleColumns::numbers(std::string_view label) const {
  if (auto ready = prefetched_.extract(label)) return std::move(ready.mapped());
  std::vector<double> values;
  if (const int column = particles_->column(label); column >= 0) {
    values.reserve(static_cast<size_t>(particles_->rows()));
    particles_->for_each_row([&](int64_t row, auto cells) {
      values.push_back(number(*particles_, row, label, cells[static_cast<size_t>(column)]));
    });
  } else if (const int shared = optics_column(label); shared >= 0) {
    std::vector<double> of_row(static_cast<size_t>(optics_->rows()), 0);
    for (const int64_t row : used_rows_)
      of_row[static_cast<size_t>(row)] = number(*optics_, row, label, optics_->row(row)[static_cast<size_t>(shared)]);
    values.reserve(optics_row_.size());
    for (const uint32_t row : optics_row_) values.push_back(of_row[row]);
  }
  return values;
}

}  // namespace recon::io
