#include "apps/cli.h"

namespace recon::apps {
namespace {

void add_loading(CLI::App& app, io::LoadOptions& load) {
  add(app, "--datadir DIR", load.datadir, "folder that image paths start from");
  add(app, "--apix A", load.pixel_size_angstrom, "pixel size, A (overrules the file)")->check(within(tiny, huge));
  app.add_flag("--keep-names", load.metadata_only, "do not look for the images; their names stay as written");
}

void add_select(CommandLine& line) {
  auto [app, o] = line.command<SelectOptions>(line.app, "select", "Keeps some particles of a file or a run", run_select,
                                              &SelectOptions::json);
  add(*app, "PARTICLES|RUN", o->input, "particles .star or .cs, or a run's folder (with its poses and latents)")
      ->required();
  add(*app, "-o,--output FILE", o->output,
      ".star or .cs: every column, a run's poses and latents; .npy: rows from 0, for --ind")
      ->required();
  add(*app, "--range COLUMN LOW HIGH", o->ranges, "particles with LOW <= COLUMN <= HIGH; repeatable")
      ->type_size(3)
      ->expected(1, 1000)
      ->allow_extra_args(false);
  add(*app, "--lasso X Y CORNERS", o->lassos, "particles whose columns X, Y lie in the polygon 'x,y x,y ...' or .npy")
      ->type_size(3)
      ->expected(1, 1000)
      ->allow_extra_args(false);
  add(*app, "--cluster I,J,...", o->clusters, "particles of these clusters, labels from 0")
      ->delimiter(',')
      ->allow_extra_args(false);
  auto* kmeans = add(*app, "--kmeans K", o->kmeans, "clusters: k-means of the latents, as volumes --kmeans K")
                     ->check(within(1, 10000));
  add(*app, "--seed N", o->seed, "of the clusters' first centres")->needs(kmeans);
  add(*app, "--labels FILE", o->labels, "clusters: a .npy with a label an image")->excludes(kmeans);
  add(*app, "--images I,J,...", o->images, "these rows, from 1")->delimiter(',')->allow_extra_args(false);
  add(*app, "--ind FILE", o->index_file,
      "these rows: .npy or .pkl, from 0; .txt, a line each from 1, as report.html saves them");
  app->add_flag("--invert-selection", o->invert, "keep the others");
  add(*app, "--latents FILE", o->latents, "latents .npy, [images, dimensions] [the run's]");
  add_passthrough(*app, o->load.passthrough, "it");
  add_loading(*app, o->load);
  add_json(*app, o->json);
  app->footer(
      "A COLUMN is z1, z2 ... (latents), pc1, pc2 ... (their principal components), a label of the STAR\n"
      "file (_rlnDefocusU) or a field of the .cs file (ctf/df1_A, alignments3D/shift:2). What is given\n"
      "together must hold together.");
}

void add_convert(CommandLine& line) {
  auto [app, o] = line.command<ConvertOptions>(
      line.app, "convert", "Particles between STAR, .cs and .npy; a map's hand, sign and pixel size", run_convert,
      &ConvertOptions::json);
  add(*app, "INPUT", o->input, "particles .star, .cs or .mrcs, a run's folder, or a map or stack .mrc")->required();
  add(*app, "-o,--output FILE", o->output,
      ".star, .cs, .npy (poses: rot, tilt, psi in degrees, x, y in pixels), .mrc; .mrcs: the particles' images, with "
      "a .star or .cs beside it")
      ->required();
  choice<std::optional<io::StarVersion>>(
      *app, "--star", o->version, {{"3.0", io::StarVersion::v3_0}, {"3.1", io::StarVersion::v3_1}},
      "write RELION 3.0's form, or that of 3.1 and later (optics table) [the input's]");
  add(*app, "--poses FILE", o->load.poses, "poses .pkl, .npy, .star or .cs, row by row [INPUT]");
  add(*app, "--ctf FILE", o->load.ctf, "CTF .pkl or .npy, row by row [INPUT]");
  add(*app, "--latents FILE", o->latents, "latents .npy for columns _cdrgnZ1 ... [a run's own]");
  add_particle_files(*app, o->load);
  app->add_flag("--flip-hand", o->flip_hand, "map: the mirror image, z about the centre voxel");
  app->add_flag("--invert", o->invert, "map or stack: multiply by -1");
  add_loading(*app, o->load);
  add_json(*app, o->json);
  app->footer(
      "A STAR or .cs file that goes to its own kind keeps every column as it is; what --poses and --ctf\n"
      "say is replaced. Across kinds go names, poses, CTF, half sets and latents.");
}

void add_downsample(CommandLine& line) {
  auto [app, o] = line.command<DownsampleOptions>(
      line.app, "downsample", "Fourier crop of particle images or a map to a smaller box", run_downsample);
  add(*app, "INPUT", o->input, "particles .star, .cs or .mrcs, or a map .mrc")->required();
  add(*app, "-o,--output FILE", o->output, "the new .mrcs; a .star or .cs is written beside it")->required();
  add(*app, "--box D", o->box, "new box, pixels, even; the field of view stays")->check(within(2, 4096));
  add_particle_files(*app, o->load);
  add(*app, "--datadir DIR", o->load.datadir, "folder that image paths start from");
  add(*app, "--apix A", o->load.pixel_size_angstrom, "pixel size of INPUT, A (overrules the file)")
      ->check(within(tiny, huge));
  add_common(*app, o->common);
}

void add_mask_command(CommandLine& line) {
  auto [app, o] =
      line.command<MaskCommand>(line.app, "mask", "A soft mask around a map's density", run_mask, &MaskCommand::json);
  add(*app, "MAP.mrc", o->map, "a cubic map")->required();
  add(*app, "-o,--output MASK.mrc", o->output, "0 to 1, of the map's box")->required();
  add(*app, "--threshold T", o->threshold, "density begins here [half of the 99.99th percentile]");
  add(*app, "--dilation X", o->dilation, "1 up to X voxels beyond it")->check(within(0, 1e5));
  add(*app, "--edge X", o->edge, "then a cosine to 0 over X voxels")->check(within(0, 1e5));
  app->add_flag("--angstrom", o->angstrom, "--dilation and --edge are in A");
  add(*app, "--apix A", o->pixel_size_angstrom, "pixel size, A [the map's]")->check(within(tiny, huge));
  add_json(*app, o->json);
}

void add_export(CommandLine& line) {
  auto [app, o] = line.command<ExportOptions>(line.app, "export", "A run in the files of another program", run_export,
                                              &ExportOptions::json);
  add(*app, "RUN", o->run, "folder of a finished run")->required();
  add(*app, "-o,--output DIR", o->output, "gets config.yaml, run.log, z.N.pkl, pose.pkl, ctf.pkl, particles.star")
      ->required();
  app->add_flag("--cryodrgn", o->cryodrgn, "for cryoDRGN: analyze --skip-vol, its loaders and notebooks")->required();
  add(*app, "--datadir DIR", o->load.datadir, "folder that image paths start from [the run's]");
  app->add_flag("--keep-names", o->load.metadata_only, "do not look for the images; their names stay as written");
  add_json(*app, o->json);
}

}  // namespace

void add_files(CommandLine& line) {
  auto [info, i] = line.command<FileOptions>(
      line.app, "info", "What a file or a run folder is: header, sizes, oddities", run_info, &FileOptions::json);
  add(*info, "FILE", i->file, ".mrc, .mrcs, .star, .cs, .npy, .pkl, .safetensors, or a run folder")->required();
  add_passthrough(*info, i->passthrough, "FILE");
  add_json(*info, i->json);
  auto [validate, v] =
      line.command<FileOptions>(line.app, "validate", "Reads a file to its last byte and tells whether it can be used",
                                run_validate, &FileOptions::json);
  add(*validate, "FILE", v->file, ".mrc, .mrcs, .star or .cs (with its images), .npy, .pkl or .safetensors")
      ->required();
  add(*validate, "--datadir DIR", v->datadir, "folder that the image paths of a .star or .cs start from");
  add_passthrough(*validate, v->passthrough, "FILE");
  add_json(*validate, v->json);
  add_select(line);
  add_convert(line);
  add_downsample(line);
  add_mask_command(line);
  add_export(line);
}

}  // namespace recon::apps
