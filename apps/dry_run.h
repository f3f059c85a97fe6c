#pragma once
#include "apps/options.h"
#include "engine/data/contrast.h"
#include "engine/train/memory_plan.h"

// What a run is about to work on: told at its start, and in full by train --dry-run.
namespace recon::apps {

/// As measure_contrast, for a run.
ContrastReport contrast_of(const io::ParticleTable& particles, const PreparationConfig& preparation);

/// Images, box, pixel size, optics, half sets, CTF ranges, contrast and its evidence, poses, networks.
Json describe(const io::ParticleTable& particles, const RunConfig& config, const ContrastReport& contrast);

MemoryPlan memory_plan(Device& device, const io::ParticleTable& particles, const RunConfig& config);
Json memory_json(const MemoryPlan& plan, const Device& device);

/// Loads the particles; where image files are missing, prints the names of all before it throws as load_for_engine.
io::ParticleTable load_or_list_missing(const TrainOptions& options);

/// Prints all that is known before the run, with plans of memory, disk and time; writes nothing. Throws io::InputError
/// for given poses that are not there, DeviceError where the run does not fit.
int dry_run(Device& device, const TrainOptions& options, const io::ParticleTable& particles, const RunConfig& config);

}  // namespace recon::apps
