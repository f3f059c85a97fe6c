#include "apps/cli.h"

namespace recon::apps {
namespace {

const std::string search_group = "More: Pose search", refine_group = "More: Second stage (--refine)";

/// An option with named values, or the name of a file, which means `with_file`.
template <class E>
CLI::Option* choice_or_file(CLI::App& app, const std::string& name, E& value, std::string& file,
                            std::vector<std::pair<std::string, E>> names, const std::string& help, E with_file) {
  std::string all, current;
  for (const auto& [text, one] : names) {
    all += text + "|";
    if (one == value) current = text;
  }
  const auto assign = [&value, &file, names, name, all, with_file](const std::string& text) {
    for (const auto& [known, one] : names)
      if (known == text) {
        value = one;
        return;
      }
    if (text.find('.') == std::string::npos)
      throw CLI::ValidationError(name, "'" + io::printable(text) + "' is not one of " + all + "FILE");
    file = text;
    value = with_file;
  };
  return app.add_option_function<std::string>(name, assign, help)->option_text(all + "FILE")->default_str(current);
}

void add_network(CLI::App& app, TrainOptions& o) {
  app.option_defaults()->group("More: Network");
  ModelConfig& m = o.stage.model;
  add(app, "--layers N", m.decoder_layers, "decoder layers")->check(within(1, 1000));
  add(app, "--width N", m.decoder_width, "decoder width")->check(within(1, 65536));
  add(app, "--encoder-layers N", m.encoder_layers, "encoder layers")->check(within(1, 1000));
  add(app, "--encoder-width N", m.encoder_width, "encoder width")->check(within(1, 65536));
  app.add_flag("--no-residual", o.no_residual, "plain layers instead of residual ones");
  app.add_flag("--full-space", o.full_space, "the paper's one-output decoder, evaluated at all of Fourier space");
  choice<Encoding>(app, "--encoding", m.encoding,
                   {{"geometric", Encoding::geometric},
                    {"geometric-low", Encoding::geometric_low},
                    {"gaussian", Encoding::gaussian}},
                   "positional encoding");
  add(app, "--encoding-frequencies E", m.encoding_per_axis, "frequencies an axis; 0: box/2")->check(within(0, 65536));
  add(app, "--encoding-sigma S", m.encoding_sigma, "of gaussian encoding, in box/2")->check(within(tiny, huge));
  choice<Precision>(
      app, "--precision", m.precision,
      {{"fp32", Precision::fp32}, {"tf32", Precision::tf32}, {"bf16", Precision::bf16}, {"fp16", Precision::fp16}},
      "operands of the decoder's products, on a GPU also of the search's base grid; CPU: fp32, bf16");
}

void add_schedule(CLI::App& app, TrainOptions& o) {
  app.option_defaults()->group("More: Schedule");
  TrainConfig& s = o.stage;
  add(app, "--encoder-lr X", s.encoder_learning_rate, "encoder's learning rate; 0: as --lr")->check(within(0, 1e3));
  add(app, "--latent-lr X", s.latent_learning_rate, "latent table's learning rate; 0: the table stays")
      ->check(within(0, 1e6));
  add(app, "--lr-final X", s.final_learning_rate, "factor on --lr at the end, by a cosine; 1: constant")
      ->check(within(0, 1));
  add(app, "--average N", s.average_steps, "use weights averaged over about N steps; 0: the last ones")
      ->check(within(0, 1e9));
  add(app, "--latent-start N", s.latent_start_epoch, "epochs with one structure before the latent table moves")
      ->check(within(0, 1e6));
  choice<bool>(app, "--latent-init", s.linear_latents, {{"zero", false}, {"linear", true}},
               "then: z of 0, or principal components of the images at the poses found");
  add(app, "--kl-weight X", s.kl_weight, "weight of the KL term")->check(within(0, 1e6));
  add(app, "--kl-warmup N", s.kl_warmup_epochs, "epochs over which that weight rises from 0")->check(within(0, 1e6));
  choice<NoiseMode>(app, "--noise", s.noise, {{"white", NoiseMode::white}, {"shells", NoiseMode::shells}},
                    "white (the paper), or one variance a shell from the residuals of fixed-pose epochs");
  add(app, "--train-band K", s.train_band, "loss up to this frequency, 1/box; 0: all")->check(within(0, 1e5));
  add(app, "--pose-steps N", s.pose_steps,
      "steps of each image's pose and shift against the network, in epochs that do not search (given poses: if asked)")
      ->check(within(0, 1000));
  add(app, "--lattice-bins N", s.lattice_bins, "lattices a group when there is a latent")->check(within(1, 1e6));
  add(app, "--checkpoint-seconds S", o.checkpoint_seconds, "time between checkpoints, s (also at epochs' ends)")
      ->check(within(0, huge));
}

void add_search(CLI::App& app, TrainOptions& o) {
  app.option_defaults()->group(search_group);
  TrainConfig& s = o.stage;
  choice<SearchPreset>(app, "--search", o.preset, {{"fast", SearchPreset::fast}, {"paper", SearchPreset::paper}},
                       "fast: best distinct rotations; paper: Algorithm 1 with its bound");
  choice<SourceMode>(app, "--source", s.source, {{"lattice", SourceMode::lattice}, {"exact", SourceMode::exact}},
                     "slices from a 3-D lattice, or from the network itself (the paper)");
  choice<std::optional<Bound>>(app, "--bound", o.bound,
                               {{"none", Bound::none}, {"paper", Bound::paper}, {"noise", Bound::noise}},
                               "drop candidates by Algorithm 1's bound, or by one that knows what noise unseen "
                               "frequencies hold [none; --search paper: paper]");
  add(app, "--keep N", o.keep, "survivors of a level at most [8; paper: 24]")->check(within(1, 1024));
  add(app, "--base-level N", s.search.base_level, "1: 576 rotations at first; each more is 8 times as many")
      ->check(within(0, 3));
  add(app, "--subdivisions N", s.search.subdivisions, "halvings of the grid")->check(within(1, 8));
  add(app, "--shift-grid N", s.search.shift_grid, "shifts an axis at first")->check(within(1, 64));
  add(app, "--band-min K", s.search.band_min, "band of the first level, 1/box")->check(within(1, 1e5));
  add(app, "--band-max K", s.search.band_max, "band of the last level, 1/box; 0: box/2")->check(within(0, 1e5));
  add(app, "--band-start K", s.band_start, "largest frequency of the first search epochs, 1/box; 0: all")
      ->check(within(0, 1e5));
  add(app, "--band-hold-epochs N", s.band_hold_epochs, "search epochs at --band-start")->check(within(0, 1e6));
  add(app, "--band-epochs N", s.band_epochs, "search epochs over which the rest of the band is let in")
      ->check(within(0, 1e6));
  add(app, "--finalists N", s.search.finalists, "survivors scored again with exact slices")->check(within(0, 1024));
  add(app, "--starts N", s.starts,
      "random starts at most, one after the other: as soon as two agree on the orientations, the better of them goes "
      "on")
      ->check(within(1, 1000));
  add(app, "--race-images N", s.race_images, "images, evenly spread, that they start on; 0: all")
      ->check(within(0, 1e9));
  add(app, "--race-epochs N", s.race_epochs, "search epochs of a start, at least; 0: by the number of images")
      ->check(within(0, 1e6));
  add(app, "--settled DEG", s.settled_degrees,
      "then it searches on until half of the images turn by less than this an epoch, degrees; 0: it does not")
      ->check(within(0, 180));
  add(app, "--settle-epochs N", s.settle_epochs, "search epochs that are added for that, at most")
      ->check(within(0, 1e6));
  add(app, "--random-epochs N", s.random_pose_epochs, "first epochs with random orientations")->check(within(0, 1e6));
  add(app, "--search-epochs N", s.search_epochs, "epochs with search; then poses stay; 0: all")->check(within(0, 1e6));
  add(app, "--search-every N", s.search_every, "search in every n-th of those")->check(within(1, 1e6));
  add(app, "--polish N", s.polish_rounds,
      "after them, rounds in which poses leave the grid, each image against a map of the others")
      ->check(within(0, 1000));
  app.add_flag("--draw-poses", s.drawn_poses,
               "soft assignment: in all search epochs but the last, draw a pose by its probability among the last "
               "level's candidates");
  add(app, "--macro-batch N", s.macro_batch, "images searched between refreshes of the lattice")->check(within(1, 1e9));
  add(app, "--joint-search N", s.joint_search_epochs,
      "in the first N search epochs after --latent-start, images look for pose and z together")
      ->check(within(0, 1e6));
  add(app, "--joint-bins N", s.joint_bins, "structures along z that they are then searched against")
      ->check(within(1, 1e6));
}

void add_input(CLI::App& app, TrainOptions& o) {
  app.option_defaults()->group("More: Input");
  add_particle_files(app, o.run.load);
  add_optics(app, o.run.load);
  choice_or_file<CtfMode>(app, "--ctf", o.run.preparation.ctf, o.run.load.ctf,
                          {{"model", CtfMode::model}, {"phase-flip", CtfMode::phase_flip}, {"none", CtfMode::none}},
                          "in the model, by phase flipping, or not at all; FILE: in the model, from a .pkl or .npy",
                          CtfMode::model)
      ->each([&o](const std::string& text) { o.ctf_wanted = text != "none"; });
  choice<Placement>(app, "--images-in", o.run.preparation.placement,
                    {{"auto", Placement::automatic}, {"device", Placement::device}, {"host", Placement::host}},
                    "where prepared images are kept: in the device's memory, or in the host's, whence they are copied "
                    "in groups; auto: on the device if the run fits there");
  choice<bool>(app, "--images-as", o.run.preparation.half_precision, {{"fp32", false}, {"fp16", true}},
               "number format of prepared images on the device; fp16 takes half its memory");
  add(app, "--latents Z.npy", o.run.latents, "where the latent table starts, [images, dimensions]; else 0");
  app.add_flag("--window,!--no-window", o.run.preparation.window, "soft circular window on the images [on]");
  add_window(app, o.run.preparation);
  add_halves(app, o.run.load);
}

void add_refine(CLI::App& app, TrainOptions& o) {
  app.option_defaults()->group(refine_group);
  add(app, "--refine-epochs N", o.refine.epochs, "epochs")->check(within(1, 1e6))->needs("--refine");
  add(app, "--refine-layers N", o.refine.layers, "layers of its networks")->check(within(1, 1000))->needs("--refine");
  add(app, "--refine-width N", o.refine.width, "width of its networks")->check(within(1, 65536))->needs("--refine");
  add(app, "--refine-lr X", o.refine.learning_rate, "learning rate; 0: as --lr")
      ->check(within(0, 1e3))
      ->needs("--refine");
}

/// An option that the others leave without effect is an error, not a surprise.
void refuse_idle_options(const CLI::App& app, const TrainOptions& o) {
  const auto refuse = [&](const std::string& prefix, bool idle, const char* why) {
    for (const CLI::Option* option : app.get_options())
      if (idle && option->count() > 0 && (option->get_name().starts_with(prefix) || option->get_group() == prefix))
        throw CLI::ValidationError(option->get_name(), why);
  };
  refuse(search_group, o.stage.poses == PoseMode::given, "has no effect with --poses given");
  refuse("--shift-extent", o.stage.poses == PoseMode::given, "has no effect with --poses given");
  for (const char* option : {"--latent", "--kl-", "--encoder-", "--lattice-bins", "--joint-", "--sweep"})
    refuse(option, o.stage.model.latent == 0, "needs --zdim");
  refuse("--encoder-", o.latent == LatentSource::table, "has no effect with --latent table");
  refuse("--latent-", o.latent == LatentSource::encoder, "has no effect without --latent table");
  refuse("--joint-", o.latent == LatentSource::encoder, "has no effect without --latent table");
  refuse("--latents", o.latent == LatentSource::encoder, "has no effect without --latent table");
  for (const char* option : {"--latent-init", "--latent-start"})
    refuse(option, o.run.latents.has_value(), "has no effect with --latents");
  refuse("--latent-init",
         o.stage.linear_latents && o.stage.poses == PoseMode::search &&
             o.stage.latent_start_epoch <= o.stage.random_pose_epochs,
         "linear needs poses: start the latents after an epoch of search, --latent-start above --random-epochs");
  refuse("--polish", o.stage.polish_rounds > 0 && o.stage.model.latent > 0, "is for one structure: without --zdim");
  refuse("--polish",
         o.stage.polish_rounds > 0 &&
             (o.stage.search_epochs == 0 || o.stage.random_pose_epochs + o.stage.search_epochs >= o.stage.epochs),
         "needs epochs after the search: --search-epochs below --epochs less --random-epochs");
  refuse("--settle-epochs", o.stage.settled_degrees == 0, "needs --settled");
  refuse("--bound", o.bound == Bound::noise && o.stage.source == SourceMode::exact && o.stage.model.latent > 0,
         "noise needs slices that images share: with --zdim, --source lattice");
  refuse("--encoding-sigma", o.stage.model.encoding != Encoding::gaussian, "is for --encoding gaussian");
  refuse("--window-", !o.run.preparation.window, "has no effect with --no-window");
  const bool searches_lattices = o.stage.poses == PoseMode::search && o.stage.source == SourceMode::lattice;
  refuse("--lattice-bins", !searches_lattices && o.stage.pose_steps == 0,
         "has no effect where no image is compared with a lattice (--poses given or --source exact, no --pose-steps)");
  refuse("--pose-steps", o.stage.poses == PoseMode::search && o.stage.search_epochs == 0 && o.stage.search_every == 1,
         "needs epochs that keep the poses: --search-epochs or --search-every");
}

}  // namespace

void add_train(CommandLine& line) {
  auto [app, o] = line.command<TrainOptions>(
      line.app, "train", "Reconstructs one structure or a continuum; run again to resume", run_train);
  o->stage = preset_config(line.preset, 0);
  o->start = line.preset;
  if (o->stage.model.source != LatentSource::none) o->latent = o->stage.model.source;
  add(*app, "PARTICLES", o->run.particles, "particles .star (RELION) or .cs (cryoSPARC), or a bare .mrcs")->required();
  add(*app, "-o,--output RUN", o->output, "run folder; poses, latents and volumes end there")->required();
  choice_or_file<PoseMode>(*app, "--poses", o->stage.poses, o->run.load.poses,
                           {{"search", PoseMode::search}, {"given", PoseMode::given}},
                           "find the poses, keep the file's, or those of a .pkl, .npy, .star or .cs", PoseMode::given);
  choice<Preset>(*app, "--preset", o->start,
                 {{"paper", Preset::paper}, {"fast", Preset::fast}, {"motion", Preset::motion}},
                 "starting values of all options below (see --help with it)");
  add(*app, "--zdim N", o->stage.model.latent, "dimensions of the latent; 0: one structure")->check(within(0, 1024));
  choice<LatentSource>(*app, "--latent", o->latent,
                       {{"encoder", LatentSource::encoder}, {"table", LatentSource::table}},
                       "z from an encoder (the paper), or a table of one z an image");
  add(*app, "--epochs N", o->stage.epochs, "passes over the images")->check(within(1, 1e6));
  add(*app, "--batch N", o->stage.batch, "images a step")->check(within(1, 1e6));
  add(*app, "--lr X", o->stage.learning_rate, "learning rate")->check(within(tiny, 1e3));
  add(*app, "--shift-extent PX", o->shift_extent_px, "shifts are searched within +-PX pixels [box x 5/64]")
      ->check(within(0, 1e5));
  app->add_flag("--refine", o->refine.enabled, "then train a larger network with the poses frozen");
  app->add_flag("--half-maps", o->run.half_maps, "then train half maps with the final poses, for an FSC");
  app->add_flag("--invert", o->run.preparation.invert, "multiply the images by -1");
  add(*app, "--sweep N", o->run.sweep, "volumes along the latent's first component at the end")
      ->check(within(1, 10000));
  add(*app, "--seed N", o->stage.seed, "of everything random");
  app->add_flag("--dry-run", o->dry_run, "read everything; tell contrast, memory, disk and time; write nothing");
  add_common(*app, o->common);
  add_network(*app, *o);
  add_schedule(*app, *o);
  add_search(*app, *o);
  add_input(*app, *o);
  add_refine(*app, *o);
  app->footer(
      "Exit codes: 0 done, 64 usage, 65 bad data, 66 no input, 71 device or memory, 73 cannot write\n"
      "or in use, 74 disk full or failing, 75 stopped by a signal: run the same command again.");
  app->parse_complete_callback([app = app, o = o] {
    const bool asked = app->get_option("--pose-steps")->count() > 0;
    if (o->stage.poses == PoseMode::given && !asked) o->stage.pose_steps = 0;  // given poses are kept
    refuse_idle_options(*app, *o);
  });
}

}  // namespace recon::apps
