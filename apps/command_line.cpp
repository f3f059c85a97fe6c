#include <iostream>

#include "apps/cli.h"
#include "apps/manual.h"

namespace recon::apps {
namespace {

void add_simulate(CommandLine& line) {
  auto [app, o] = line.command<SimulateOptions>(
      line.app, "simulate", "Makes particle images with known truth from a map or a model", run_simulate);
  add(*app, "INPUT", o->inputs, "MODEL.json, MODEL.pdb, MAP.mrc, or several maps (one a state)")
      ->required()
      ->expected(1, 10000);
  add(*app, "-o,--output DIR", o->output, "gets particles.mrcs, particles.star and truth/")->required();
  add(*app, "--images N", o->images, "number of images (of --poses: the first N)")
      ->check(within(1, 1e9))
      ->default_str(std::to_string(o->truth.images));
  add(*app, "--box D", o->box, "box of a model, pixels, even [the model's; 64 for .pdb]")->check(within(4, 2048));
  add(*app, "--apix A", o->pixel_size_angstrom, "pixel size, A [the file's; a model keeps its size in its box]")
      ->check(within(tiny, huge));
  add(*app, "--snr X", o->snr, "variance of signal over variance of noise; 0: no noise")->check(within(0, huge));
  add(*app, "--shift-extent PX", o->truth.shift_extent_px, "shifts are uniform within +-PX pixels")
      ->check(within(0, huge));
  add(*app, "--states K|continuous", o->truth.states, "conformations of a model, drawn uniformly")
      ->check(within(0, 1e6))
      ->transform([](std::string text) { return text == "continuous" ? std::string("0") : text; });
  add(*app, "--seed N", o->truth.seed, "of everything random");
  auto* poses = add(*app, "--poses FILE", o->poses, "project at the poses (and CTF) of this .star or .cs");
  poses->excludes("--shift-extent");
  add_passthrough(*app, o->passthrough, "--poses")->needs(poses);
  auto* ctf =
      app->add_flag("--ctf", o->random_ctf, "draw a CTF for every image (defocus, astigmatism)")->excludes(poses);
  app->add_flag("--no-ctf", o->no_ctf, "leave out the CTF of --poses")->needs(poses);
  add(*app, "--defocus-min A", o->truth.defocus_min_angstrom, "smallest mean defocus, A")
      ->check(within(-1e6, 1e6))
      ->needs(ctf);
  add(*app, "--defocus-max A", o->truth.defocus_max_angstrom, "largest mean defocus, A")
      ->check(within(-1e6, 1e6))
      ->needs(ctf);
  add(*app, "--kv KV", o->truth.microscope.voltage_kv, "voltage, kV")->check(within(1, 10000))->needs(ctf);
  add(*app, "--cs MM", o->truth.microscope.spherical_aberration_mm, "spherical aberration, mm")
      ->check(within(-100, 100))
      ->needs(ctf);
  add(*app, "--amplitude-contrast W", o->truth.microscope.amplitude_contrast, "amplitude contrast, 0 to 1")
      ->check(within(0, 1))
      ->needs(ctf);
  add(*app, "--pdb-sigma A", o->pdb.sigma_angstrom, ".pdb: Gaussian of every atom, A")->check(within(tiny, huge));
  auto* chain = add(*app, "--pdb-chain C", o->pdb_chain, ".pdb: this chain turns about one bond");
  add(*app, "--pdb-from RESIDUE", o->pdb.bond_from, ".pdb: residue whose CA is the hinge")->needs(chain);
  add(*app, "--pdb-to RESIDUE", o->pdb.bond_to, ".pdb: residue whose CA ends the axis")->needs(chain);
  add(*app, "--pdb-angle DEG", o->pdb.angle_deg, ".pdb: range of the turn, degrees")
      ->check(within(-360, 360))
      ->needs(chain);
  add_common(*app, o->common);
}

void add_relion(CommandLine& line) {
  auto [app, o] = line.command<RelionOptions>(line.app, "relion-external", "train as a RELION External job",
                                              run_relion_external, &RelionOptions::json);
  add(*app, "--o DIR", o->job, "the job's folder, External/job0NN/: it is the run folder")->required();
  add(*app, "--in_parts X.star", o->particles, "particles, as RELION gives them")->required();
  add(*app, "--in_mask MASK.mrc", o->mask, "mask for the FSC of the half maps (with --half-maps)");
  add(*app, "--j N", o->threads, "CPU threads; 0: one a core")->check(within(0, 1024));
  add(*app, "--pipeline_control DIR", o->control, "folder of the RELION_JOB_... files [--o]");
  add_json(*app, o->json);
  app->allow_extras();
  app->footer(
      "Further options, --LABEL VALUE, are those of reconstruct train. In RELION's External tab the\n"
      "executable is \"reconstruct relion-external\", and parameters are labels without dashes, as preset\n"
      "and fast; of a flag, as half-maps, the value stays empty. Poses and maps become the job's nodes.");
  app->parse_complete_callback([app = app, o = o] { o->rest = app->remaining(); });
}

void add_encode(CommandLine& line) {
  auto [app, o] = line.command<EncodeOptions>(line.app, "encode", "Latents of images from a run's encoder", run_encode);
  add(*app, "RUN", o->run, "folder of a run with --zdim and --latent encoder")->required();
  add(*app, "PARTICLES", o->particles, "particles .star, .cs or .mrcs, of the run's box and pixel size")->required();
  add(*app, "-o,--output FILE", o->output, "means, float32 [images, dimensions]");
  add(*app, "--log-variances FILE", o->log_variances, "also their log variances [not written]");
  add(*app, "--poses FILE", o->load.poses, "poses .pkl, .npy, .star or .cs, row by row [PARTICLES]");
  add(*app, "--ctf FILE", o->load.ctf, "CTF .pkl or .npy, row by row [PARTICLES]");
  add_particle_files(*app, o->load);
  add(*app, "--datadir DIR", o->load.datadir, "folder that image paths start from [the run's]");
  add(*app, "--apix A", o->load.pixel_size_angstrom, "pixel size, A [the file's]")->check(within(tiny, huge));
  add_common(*app, o->common);
}

void add_backproject(CommandLine& line) {
  auto [app, o] = line.command<BackprojectCommand>(
      line.app, "backproject", "Classical reconstruction from known poses, with half maps", run_backproject);
  add(*app, "PARTICLES", o->particles, "particles .star or .cs with poses, or a stack and --poses")->required();
  add(*app, "-o,--output DIR", o->output, "gets backproject.mrc, half_map_a.mrc, half_map_b.mrc, fsc.json, fsc.txt")
      ->required();
  add(*app, "--poses FILE", o->load.poses,
      "take the poses from this .star (RUN/poses.star), .cs, .pkl or .npy, row by row [PARTICLES]");
  add(*app, "--ctf FILE", o->load.ctf, "take the CTF from this .pkl or .npy, row by row [PARTICLES]");
  add(*app, "--oversampling N", o->options.oversampling, "padding of the Fourier grid; memory 16 bytes x (N box)^3")
      ->check(within(1, 4));
  app->add_flag("--no-filter", o->no_filter, "no Wiener filter on backproject.mrc (half maps never have one)");
  app->add_flag("--no-ctf", o->no_ctf, "ignore the CTF")->excludes("--ctf");
  app->add_flag("--window", o->preparation.window, "soft circular window on the images");
  for (CLI::Option* option : add_window(*app, o->preparation)) option->needs("--window");
  add_halves(*app, o->load);
  app->add_flag("--invert", o->preparation.invert, "multiply the images by -1");
  add_particle_files(*app, o->load);
  add_optics(*app, o->load);
  add_common(*app, o->common);
}

void add_compare_structures(CommandLine& line, CLI::App& compare) {
  auto [app, o] = line.command<CompareStructuresOptions>(
      compare, "structures", "How close a run's volumes come to what simulated images show, image by image",
      run_compare_structures);
  add(*app, "RUN", o->run, "folder of a finished run")->required();
  add(*app, "TRUTH", o->truth, "folder truth/ that reconstruct simulate wrote")->required();
  add(*app, "--images N", o->images, "so many images, evenly spread over the true coordinate")->check(within(1, 1e6));
  add(*app, "--against RUN2", o->against, "also the figures of this run, and the ratio of RUN's to them");
  app->add_flag("--align-each", o->align_each, "refine the alignment for each volume, not only once for all");
  add_mask(*app, o->mask);
  add_common(*app, o->common);
  app->footer(
      "For each image the run's volume at the image's z is compared with the true map at the image's\n"
      "state, after alignment by the poses (both hands) and a local refinement.");
}

void add_compare(CommandLine& line) {
  CLI::App* compare = line.app.add_subcommand(
      "compare", "Compares maps, poses, latents or structures with each other or with the truth");
  compare->require_subcommand(1);
  {
    auto [app, o] =
        line.command<CompareFscOptions>(*compare, "fsc", "Fourier shell correlation of two maps", run_compare_fsc);
    add(*app, "A.mrc", o->maps[0], "map (with --align: the one that moves)")->required();
    add(*app, "B.mrc", o->maps[1], "map of the same box (the truth)")->required();
    auto* align = app->add_flag("--align", o->align, "first align A to B: all rotations, both hands, origin");
    auto* poses = add(*app, "--align-poses A.star B.star", o->align_poses,
                      "first align by the poses of the same images, then refine; .star or .cs");
    poses->expected(2)->excludes(align);
    add_passthrough(*app, o->passthrough, "A.cs and B.cs")->needs(poses);
    add(*app, "--aligned FILE", o->aligned_output, "write the moved A [not written]");
    add(*app, "-o,--output FILE", o->output, "write the curve: .xml as EMDB takes it, else a table [not written]");
    add_mask(*app, o->mask);
    add_common(*app, o->common);
  }
  {
    auto [app, o] = line.command<ComparePosesOptions>(
        *compare, "poses", "Errors of poses after a global alignment, both hands tried (paper, Table 1)",
        run_compare_poses);
    add(*app, "A.star", o->stars[0], "poses found, .star or .cs")->required();
    add(*app, "B.star", o->stars[1], "true poses of the same images")->required();
    add_passthrough(*app, o->passthrough, "A.cs and B.cs");
    auto* maps =
        add(*app, "--maps A.mrc B.mrc", o->maps, "also the FSC of these, A moved by that alignment")->expected(2);
    app->add_flag("--refine", o->refine, "refine the alignment of the maps locally before their FSC")->needs(maps);
    add_mask(*app, o->mask);
    app->get_option("--mask")->needs(maps);
    add_common(*app, o->common);
  }
  add_compare_structures(line, *compare);
  auto [app, o] = line.command<CompareLatentsOptions>(
      *compare, "latents", "How well latents order the images along a known coordinate", run_compare_latents);
  add(*app, "LATENTS", o->latents, "run folder, or z.npy [images, dimensions]")->required();
  add(*app, "TRUTH", o->truth, "states.npy [images], or a .star file (with --column)")->required();
  add(*app, "--column LABEL", o->column, "column of the .star file");
  add_json(*app, o->common.json);
}

Command usage_error(const CommandLine& line, const std::string& message, bool json) {
  std::string command = "reconstruct";
  for (const CLI::App* app = &line.app; !app->get_subcommands().empty();) {
    app = app->get_subcommands().front();
    command += " " + app->get_name();
  }
  return {[=]() -> int { throw UsageError(message + "; see " + command + " --help"); }, json};
}

void add_bench(CommandLine& line) {
  auto [app, o] = line.command<BenchOptions>(line.app, "bench",
                                             "Times the kernels and their variants, each checked first", run_bench);
  add(*app, "OPERATION", o->operation, "part of an operation's name (training, slices, ...) [all]");
  add(*app, "--variant TEXT", o->variant, "only variants with this in their name [all]");
  const auto sizes = [&](const char* name, std::vector<int>& values, const char* text, int low, int high) {
    add(*app, name, values, text)->delimiter(',')->allow_extra_args(false)->check(within(low, high));
  };
  sizes("--box N,...", o->box, "image sizes, pixels, even", 4, 1024);
  sizes("--width N,...", o->width, "widths of the decoder's layers, and of the encoder's", 1, 4096);
  sizes("--layers N,...", o->layers, "hidden layers", 0, 100);
  sizes("--zdim N,...", o->latent, "dimensions of z", 0, 64);
  sizes("--batch N,...", o->batch, "images a step", 1, 10000);
  add(*app, "--seconds S", o->seconds, "repeat a variant for so long")->check(within(0, 3600));
  add(*app, "-o,--output FILE", o->output, "also all figures as JSON [not written]");
  add(*app, "--compare FILE", o->compare, "how many times as fast as in this file of -o");
  add_common(*app, o->common);
  app->footer(
      "Every size of the lists with every other. A variant is first compared with the definition in double\n"
      "precision, then timed with cold caches; ceilings are the large copy and product of the same run.");
}

/// A command that prints a text.
Command printing(const std::string& text) {
  return {[text] {
            std::cout << text << std::flush;
            return 0;
          },
          false};
}

void add_completion(CommandLine& line) {
  auto shell = std::make_shared<std::string>("bash");
  CLI::App* app = line.app.add_subcommand("completion", "Prints a script that completes this command line in a shell");
  app->final_callback([&line, shell] { line.chosen = printing(completion_script(line.app, *shell)); });
  choice<std::string>(*app, "SHELL", *shell, {{"bash", "bash"}, {"zsh", "zsh"}, {"fish", "fish"}}, "for this shell");
  app->footer(
      "bash: eval \"$(reconstruct completion bash)\" in ~/.bashrc; zsh: as _reconstruct into a folder of $fpath;\n"
      "fish: as ~/.config/fish/completions/reconstruct.fish. An installed reconstruct has them in place.");
}

void declare(CommandLine& line, bool& version, bool& manual, bool& json) {
  line.app.formatter(std::make_shared<HelpFormatter>());
  line.app.set_help_flag("-h,--help", "this text");
  line.app.set_help_all_flag("--help-all", "this text with all options");
  line.app.require_subcommand(0, 1);
  line.app.add_flag("--version", version, "version and build");
  line.app.add_flag("--man", manual, "the manual page, for man -l -");
  add_json(line.app, json);
  line.app.footer("reconstruct COMMAND --help tells more. A first try: apps/quickstart.");
  add_simulate(line);
  add_train(line);
  add_relion(line);
  add_volumes(line);
  add_analyze(line);
  add_encode(line);
  add_backproject(line);
  add_compare(line);
  add_files(line);
  add_bench(line);
  auto common = std::make_shared<CommonOptions>();
  CLI::App* doctor = line.app.add_subcommand("doctor", "What this machine and this build offer, and a short self-test");
  doctor->final_callback([&line, common] { line.chosen = {[common] { return run_doctor(*common); }, common->json}; });
  add_common(*doctor, *common);
  add_completion(line);
}

/// The value of --preset before parsing; a wrong one is left to the parser to refuse.
Preset preset_of(int argc, const char* const* argv) {
  const std::string key = "--preset";
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    const bool glued = text.rfind(key + "=", 0) == 0;
    if (!glued && (text != key || i + 1 == argc)) continue;
    const std::string name = glued ? text.substr(key.size() + 1) : argv[i + 1];
    try {
      return preset_from_name(name);
    } catch (const std::invalid_argument&) {
      break;
    }
  }
  return Preset::paper;
}

}  // namespace

Command parse_command_line(int argc, const char* const* argv) {
  CommandLine line;
  bool version = false, manual = false, json = false, json_wanted = false;
  for (int i = 1; i < argc; ++i) json_wanted |= std::string(argv[i]) == "--json";
  line.preset = preset_of(argc, argv);
  declare(line, version, manual, json);
  try {
    line.app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return usage_error(line, error.what(), json_wanted);
    const bool all = dynamic_cast<const CLI::CallForAllHelp*>(&error) != nullptr;
    return printing(line.app.help("", all ? CLI::AppFormatMode::All : CLI::AppFormatMode::Normal));
  }
  if (manual) return printing(manual_page(line.app));
  if (version) return {[json] { return run_version(json); }, json};
  if (!line.chosen.run) return usage_error(line, "a command is wanted", json_wanted);
  return line.chosen;
}

}  // namespace recon::apps
