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
  if (optics && !optics->loops.empty()) find_optics(*optics);
}

void ParticleColumns::find_optics(const StarBlock& block) {
  optics_ = &block.loops.front();
  used_.assign(static_cast<size_t>(optics_->rows()), false);
  const int group = optics_->column(kGroup), of_particle = particles_->column(kGroup);
  if (group < 0 || of_particle < 0) {
    if (optics_->rows() != 1)
      refuse_missing(kGroup, "the optics table has " + std::to_string(optics_->rows()) + " rows and nothing joins them",
                     "add the column to both tables");
    warnings.push_back("no _rlnOpticsGroup joins particles and optics; the only optics row is used for all");
    return;
  }
  group_column_ = of_particle;
  optics_->for_each_row([&](int64_t row, auto cells) {
    const std::string_view name = cells[static_cast<size_t>(group)];
    if (!row_of_group_.emplace(name, static_cast<uint32_t>(row)).second)
      refuse(*optics_, row, kGroup, name, "the optics group stands twice", "give each group its own number");
  });
}

void ParticleColumns::read_rows(std::span<const ColumnFill> fills, std::span<const std::string_view> labels,
                                const std::function<void(int64_t, std::string_view)>& image_name) {
  struct Reading {
    ColumnFill fill;
    size_t column;
    std::vector<double>* values;  // of a label that is kept
  };
  std::vector<Reading> readings;
  const size_t n = static_cast<size_t>(particles_->rows());
  const auto read = [&](const ColumnFill& fill, std::vector<double>* values) {
    readings.push_back({fill, static_cast<size_t>(particles_->column(fill.label)), values});
  };
  for (const ColumnFill& fill : fills)
    if (particles_->column(fill.label) >= 0) read(fill, nullptr);
  for (const std::string_view label : labels)
    if (particles_->column(label) >= 0) {
      prefetched_[label].resize(n);
      read({label, nullptr, 0, 1, 0, 0, ""}, &prefetched_[label]);
    }
  if (optics_) optics_row_.resize(n);
  if (optics_ && group_column_ < 0) used_.assign(1, true);
  const int name = image_name ? particles_->column("_rlnImageName") : -1;
  auto group = row_of_group_.end();  // of the row before
  particles_->for_each_row([&](int64_t row, auto cells) {
    const auto i = static_cast<size_t>(row);
    if (name >= 0) image_name(row, cells[static_cast<size_t>(name)]);
    if (group_column_ >= 0) {
      const std::string_view cell = cells[static_cast<size_t>(group_column_)];
      if (group == row_of_group_.end() || group->first != cell) group = row_of_group_.find(cell);
      if (group == row_of_group_.end())
        refuse(*particles_, row, kGroup, cell, "no such group in the optics table", "add it to data_optics");
      optics_row_[i] = group->second;
      used_[group->second] = true;
    }
    for (const auto& [fill, column, values] : readings) {
      const double value = number(*particles_, row, fill.label, cells[column]);
      if (values)
        (*values)[i] = value;
      else if (value >= fill.low && value <= fill.high)
        fill.first[i * fill.stride] = static_cast<float>(value * fill.scale);
      else
        refuse_range(row, fill.label, value, fill.range);
    }
  });
}

void ParticleColumns::for_each_used_optics_row(std::string_view label,
                                               const std::function<void(int64_t, std::string_view)>& visit) const {
  const int column = optics_column(label);
  if (column < 0) return;
  optics_->for_each_row([&](int64_t row, auto cells) {
    if (used_[static_cast<size_t>(row)]) visit(row, cells[static_cast<size_t>(column)]);
  });
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

void ParticleColumns::refuse_range(int64_t particle, std::string_view label, double value, const char* range) const {
  refuse_value(particle, label, value, std::string("out of range: ") + range,
               "correct the value, or give it as an option");
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

std::vector<double> ParticleColumns::numbers(std::string_view label) const {
  if (auto ready = prefetched_.extract(label)) return std::move(ready.mapped());
  std::vector<double> values;
  if (const int column = particles_->column(label); column >= 0) {
    values.reserve(static_cast<size_t>(particles_->rows()));
    particles_->for_each_row([&](int64_t row, auto cells) {
      values.push_back(number(*particles_, row, label, cells[static_cast<size_t>(column)]));
    });
  } else if (optics_column(label) >= 0) {
    std::vector<double> of_row(static_cast<size_t>(optics_->rows()), 0);
    for_each_used_optics_row(label, [&](int64_t row, std::string_view cell) {
      of_row[static_cast<size_t>(row)] = number(*optics_, row, label, cell);
    });
    values.reserve(optics_row_.size());
    for (const uint32_t row : optics_row_) values.push_back(of_row[row]);
  }
  return values;
}

}  // namespace recon::io
