#pragma once
// Helpers to declare options with CLI11, for the files command_line*.cpp only: CLI11 costs seconds to compile.
#include <CLI/CLI.hpp>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "apps/command_line.h"
#include "apps/options.h"

namespace recon::apps {

inline constexpr size_t name_columns = 30, text_columns = 100;

/// What comes after the command: positional arguments, options that must be given.
inline std::string usage_of(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return o->get_positional(); }))
    text += " " + option->get_name(true) + (option->get_expected_max() > 1 ? "..." : "");
  for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return o->nonpositional(); }))
    if (option->get_required()) text += " " + option->get_name(false) + " " + option->get_option_text();
  return text +
         (app.get_subcommands([](const CLI::App*) { return true; }).empty() ? " [options]" : " COMMAND [options]");
}

/// "-o, --output RUN"
inline std::string option_names(const CLI::Option& option) {
  std::string name = option.get_positional() ? option.get_name(true) : option.get_name(false, true);
  if (const size_t mark = name.find("{false}"); mark != std::string::npos) name.erase(mark);  // of negative flags
  for (size_t at = 0; (at = name.find(',', at)) != std::string::npos; at += 2) name.replace(at, 1, ", ");
  return option.get_option_text().empty() ? name : name + " " + option.get_option_text();
}

/// "passes over the images [30]"
inline std::string option_help(const CLI::Option& option) {
  const std::string& text = option.get_description();
  return option.get_default_str().empty() ? text : text + " [" + option.get_default_str() + "]";
}

/// One screen of help: groups named "More: ..." are shown by --help-all only.
class HelpFormatter final : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    std::string out = app->get_description() + "\n\nUsage: " + name + usage_of(*app) + "\n";
    for (const CLI::App* sub : app->get_subcommands({})) {
      if (out.find("\nCommands:") == std::string::npos) out += "\nCommands:\n";
      add_row(out, sub->get_name(), sub->get_description());
    }
    bool hidden = false;
    for (const std::string& group : app->get_groups()) {
      const bool more = group.starts_with("More: ");
      const auto options = app->get_options([&](const CLI::Option* o) { return o->get_group() == group; });
      if (options.empty() || group.empty()) continue;
      hidden |= more;
      if (more && mode == CLI::AppFormatMode::Normal) continue;
      out += "\n" + (more ? group.substr(6) : group) + ":\n";
      for (const CLI::Option* option : options) add_option_row(out, *option);
    }
    if (hidden && mode == CLI::AppFormatMode::Normal)
      out += "\nMore (network, schedule, pose search, input, second stage): " + name + " --help-all\n";
    if (!app->get_footer().empty()) out += "\n" + app->get_footer() + "\n";
    return out;
  }

 private:
  static void add_option_row(std::string& out, const CLI::Option& option) {
    add_row(out, option_names(option), option_help(option));
  }
  static void add_row(std::string& out, const std::string& name, const std::string& text) {
    std::string line = "  " + name;
    line += std::string(line.size() + 1 < name_columns ? name_columns - line.size() : 2, ' ');
    std::istringstream words(text);
    bool first = true;
    for (std::string word; words >> word; first = false) {
      if (!first && line.size() + 1 + word.size() > text_columns) {
        out += line + "\n";
        line = std::string(name_columns, ' ');
        first = true;
      }
      line += (first ? "" : " ") + word;
    }
    out += line + "\n";
  }
};

/// add(app, "--lr X", value, "help"): the part after the blank is what stands for the value in the help.
template <class T>
CLI::Option* add(CLI::App& app, const std::string& name, T& value, const std::string& help) {
  const size_t blank = name.find(' ');
  CLI::Option* option = app.add_option(name.substr(0, blank), value, help);
  if (blank != std::string::npos) option->option_text(name.substr(blank + 1));
  if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) option->capture_default_str();
  return option;
}

/// Numbers within [low, high]; NaN is not.
inline CLI::Validator within(double low, double high) {
  return CLI::Validator(
      [low, high](std::string& text) -> std::string {
        double value = 0;
        if (CLI::detail::lexical_cast(text, value) && value >= low && value <= high) return {};
        std::ostringstream message;
        message << "'" << io::printable(text) << "' is not a number from " << low << " to " << high;
        return message.str();
      },
      "");
}
inline constexpr double huge = 1e12, tiny = 1e-12;

/// An option with named values.
template <class E>
CLI::Option* choice(CLI::App& app, const std::string& name, E& value, std::vector<std::pair<std::string, E>> names,
                    const std::string& help) {
  std::string all, current;
  for (const auto& [text, one] : names) {
    all += (all.empty() ? "" : "|") + text;
    if (one == value) current = text;
  }
  const auto assign = [&value, names, name, all](const std::string& text) {
    for (const auto& [known, one] : names)
      if (known == text) {
        value = one;
        return;
      }
    throw CLI::ValidationError(name, "'" + io::printable(text) + "' is not one of " + all);
  };
  return app.add_option_function<std::string>(name, assign, help)->option_text(all)->default_str(current);
}

inline void add_json(CLI::App& app, bool& json) {
  app.add_flag("--json", json, "for machines: one JSON object a line");
}
inline void add_common(CLI::App& app, CommonOptions& common) {
  add(app, "--device NAME", common.device, "auto, cpu or cuda[:i]; auto: a GPU if there is one");
  add(app, "--threads N", common.threads, "CPU threads; 0: one a core; results do not depend on it")
      ->check(within(0, 1024));
  add_json(app, common.json);
}
inline void add_optics(CLI::App& app, io::LoadOptions& load) {
  add(app, "--datadir DIR", load.datadir, "folder that image paths start from");
  add(app, "--apix A", load.pixel_size_angstrom, "pixel size, A (overrules the file)")->check(within(tiny, huge));
  add(app, "--kv KV", load.voltage_kv, "voltage, kV (overrules the file)")->check(within(1, 10000));
  add(app, "--cs MM", load.spherical_aberration_mm, "spherical aberration, mm (overrules)")->check(within(-100, 100));
  add(app, "--amplitude-contrast W", load.amplitude_contrast, "amplitude contrast, 0 to 1 (overrules)")
      ->check(within(0, 1));
}
inline CLI::Option* add_passthrough(CLI::App& app, std::vector<std::string>& files, const std::string& to) {
  return add(app, "--passthrough FILE", files, "a .cs file whose fields are joined to " + to + " by uid; repeatable")
      ->allow_extra_args(false);
}
inline void add_particle_files(CLI::App& app, io::LoadOptions& load) {
  add_passthrough(app, load.passthrough, "PARTICLES");
  add(app, "--ind FILE", load.subset,
      "the images to use: .pkl or .npy, from 0; .txt, a line each from 1, as report.html saves them");
}
inline void add_halves(CLI::App& app, io::LoadOptions& load) {
  app.add_flag("--alternate-halves", load.alternate_halves,
               "half sets are odd and even images, whatever the file says (tilts of a few particles)");
}
inline std::vector<CLI::Option*> add_window(CLI::App& app, PreparationConfig& preparation) {
  return {
      add(app, "--window-inner X", preparation.window_inner, "where the window starts to fall, in box/2")
          ->check(within(0, 2)),
      add(app, "--window-outer X", preparation.window_outer, "where it reaches 0, in box/2")->check(within(tiny, 2))};
}
inline void add_mask(CLI::App& app, MaskOptions& mask) {
  add(app, "--mask PX|MAP", mask.mask, "radius of a soft sphere, pixels, or a mask file .mrc; else no mask");
  add(app, "--mask-edge PX", mask.edge_px, "soft edge of the sphere, pixels")->check(within(0, huge))->needs("--mask");
}

struct CommandLine {
  CLI::App app{"reconstruct: cryo-EM particle images in, 3-D structures out", "reconstruct"};
  Command chosen;
  Preset preset = Preset::paper;  ///< --preset, read before the options are declared: it sets their defaults

  /// A subcommand whose options live as long as the command line and are handed to `run`.
  template <class Options>
  std::pair<CLI::App*, Options*> command(CLI::App& parent, const std::string& name, const std::string& description,
                                         int (*run)(const Options&), bool Options::*json) {
    auto options = std::make_shared<Options>();
    CLI::App* sub = parent.add_subcommand(name, description);
    sub->final_callback([this, options, run, json] {
      chosen = {[options, run] { return run(*options); }, (*options).*json};
    });
    return {sub, options.get()};
  }
  /// The same where `json` is among the common options.
  template <class Options>
  std::pair<CLI::App*, Options*> command(CLI::App& parent, const std::string& name, const std::string& description,
                                         int (*run)(const Options&)) {
    auto options = std::make_shared<Options>();
    CLI::App* sub = parent.add_subcommand(name, description);
    sub->final_callback([this, options, run] {
      chosen = {[options, run] { return run(*options); }, options->common.json};
    });
    return {sub, options.get()};
  }
};

void add_train(CommandLine& line);    // command_line_train.cpp
void add_files(CommandLine& line);    // command_line_files.cpp
void add_volumes(CommandLine& line);  // command_line_analyze.cpp
void add_analyze(CommandLine& line);  // command_line_analyze.cpp

}  // namespace recon::apps
