#include "apps/cli.h"

namespace recon::apps {

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
}

}  // namespace recon::apps
