// The options of volumes and analyze: what is made of a trained run.
#include "apps/cli.h"

namespace recon::apps {

void add_volumes(CommandLine& line) {
  auto [app, o] = line.command<VolumesOptions>(
      line.app, "volumes", "Writes volumes of a run at chosen z: given, of images, swept or clustered", run_volumes);
  add(*app, "RUN", o->run, "folder of a finished or stopped run")->required();
  add(*app, "-o,--output DIR", o->output, "gets vol_000.mrc ... and z_values.npy")->required();
  auto* z = add(*app, "--z X,Y,...", o->z, "one volume at this z")->delimiter(',')->allow_extra_args(false);
  auto* file = add(*app, "--z-file FILE", o->z_file, "a volume at every row of a .npy or text file")->excludes(z);
  auto* images =
      add(*app, "--images I,J,...", o->images, "volumes at these images' z (rows of the particle file, from 1)")
          ->delimiter(',')
          ->allow_extra_args(false)
          ->excludes(z)
          ->excludes(file);
  auto* sweep = add(*app, "--sweep N", o->sweep, "N volumes from the 5th to the 95th percentile [the run's --sweep]")
                    ->check(within(1, 10000))
                    ->excludes(z)
                    ->excludes(file)
                    ->excludes(images);
  auto* kmeans = add(*app, "--kmeans K", o->kmeans, "K volumes at cluster centres (the nearest images' z)")
                     ->check(within(1, 10000))
                     ->excludes(z)
                     ->excludes(file)
                     ->excludes(images)
                     ->excludes(sweep);
  add(*app, "--pc K", o->component, "principal component of the sweep, from 1")
      ->check(within(1, 1024))
      ->excludes(z)
      ->excludes(file)
      ->excludes(images)
      ->excludes(kmeans);
  add(*app, "--seed N", o->seed, "of the clusters' first centres")->needs(kmeans);
  add_common(*app, o->common);
}

void add_analyze(CommandLine& line) {
  auto [app, o] = line.command<AnalyzeOptions>(
      line.app, "analyze", "Looks at a run's latents from all sides: clusters, UMAP, volumes, one report", run_analyze);
  add(*app, "RUN", o->run, "folder of a finished or stopped run")->required();
  add(*app, "-o,--output DIR", o->output, "gets report.html, *.npy and folders of volumes [RUN/analysis]");
  add(*app, "--kmeans K", o->map.clusters, "clusters; a volume at the image nearest to each centre")
      ->check(within(1, 10000));
  add(*app, "--pc N", o->map.components, "principal components that volumes are made along")->check(within(1, 1024));
  add(*app, "--steps N", o->map.steps, "volumes along each component, the path and the line")->check(within(1, 10000));
  add(*app, "--path I,J,...", o->path, "images (rows of the particle file, from 1) that the path visits [the centres]")
      ->delimiter(',')
      ->allow_extra_args(false);
  add(*app, "--line I,J", o->line, "images that the straight line joins [first and last centre]")
      ->delimiter(',')
      ->allow_extra_args(false);
  auto* no_umap = app->add_flag("--no-umap", o->no_umap, "no UMAP (made where the latent has more than 2 dimensions)");
  add(*app, "--neighbours N", o->map.layout.neighbours, "of an image in UMAP, itself included")
      ->check(within(2, 1000))
      ->excludes(no_umap);
  add(*app, "--min-distance X", o->map.layout.min_distance, "how close images may lie in UMAP")
      ->check(within(0, 2))
      ->excludes(no_umap);
  add(*app, "--most-images N", o->map.layout.most,
      "so many images (evenly spread) make UMAP and the path; others go to their neighbours")
      ->check(within(1, 1e9));
  add(*app, "--fsc FILE", o->truth,
      "compare fsc or compare structures (--json) against the truth, for the report [none]");
  add(*app, "--seed N", o->map.seed, "of the clusters' first centres and of UMAP");
  add_common(*app, o->common);
  app->footer(
      "Volumes go to kmeans/, pc1/ ..., path/ (the shortest way from neighbour to neighbour in the data)\n"
      "and line/. A latent of one dimension has kmeans/ and pc1/ only; of --zdim 0 the report is made.");
}

}  // namespace recon::apps
