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
  add(*app, "--ind FILE", o->index_file, "these rows, from 0: .npy or .pkl");
  app->add_flag("--invert-selection", o->invert, "keep the others");
  add(*app, "--latents FILE", o->latents, "latents .npy, [images, dimensions] [the run's]");
  add(*app, "--passthrough FILE", o->load.passthrough, "a .cs file whose fields are joined by uid; repeatable")
      ->allow_extra_args(false);
  add_loading(*app, o->load);
  add_json(*app, o->json);
  app->footer(
      "A COLUMN is z1, z2 ... (latents), pc1, pc2 ... (their principal components), a label of the STAR file\n"
      "(_rlnDefocusU) or a field of the .cs file (ctf/df1_A, alignments3D/shift:2). What is given together\n"
      "must hold together.");
}

}  // namespace

void add_files(CommandLine& line) {
  auto [info, i] = line.command<FileOptions>(
      line.app, "info", "What a file or a run folder is: header, sizes, oddities", run_info, &FileOptions::json);
  add(*info, "FILE", i->file, ".mrc, .mrcs, .star, .cs, .npy, .pkl, .safetensors, or a run folder")->required();
  add_json(*info, i->json);
  auto [validate, v] =
      line.command<FileOptions>(line.app, "validate", "Reads a file to its last byte and tells whether it can be used",
                                run_validate, &FileOptions::json);
  add(*validate, "FILE", v->file, ".mrc, .mrcs, .star or .cs (with its images), .npy, .pkl or .safetensors")
      ->required();
  add(*validate, "--datadir DIR", v->datadir, "folder that the image paths of a .star or .cs start from");
  add_json(*validate, v->json);
  add_select(line);
}

}  // namespace recon::apps
