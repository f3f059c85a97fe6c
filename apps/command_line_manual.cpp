// The manual page, out of the declarations that also make --help.
#include "apps/cli.h"
#include "apps/manual.h"

namespace recon::apps {
namespace {

/// As roff takes it: hyphens that can be copied into a shell, no control lines, no escapes.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n'))
      out.append("\\&").push_back(c);
    else
      out.push_back(c);
  }
  return out;
}

std::string roff_quoted(std::string text) {
  for (size_t at = 0; (at = text.find('"', at)) != std::string::npos; at += 2) text.insert(at, 1, '"');
  return '"' + roff(text) + '"';
}

void add_options(std::string& out, const CLI::App& app) {
  for (const std::string& group : app.get_groups()) {
    const auto options = app.get_options([&](const CLI::Option* o) { return o->get_group() == group; });
    if (options.empty() || group.empty()) continue;
    if (group.starts_with("More: ")) out += ".PP\n.I " + roff_quoted(group.substr(6)) + "\n";
    for (const CLI::Option* option : options)
      if (app.get_parent() == nullptr || option_names(*option).find("-help") == std::string::npos)
        out += ".TP\n.B " + roff_quoted(option_names(*option)) + "\n" + roff(option_help(*option)) + "\n";
  }
}

void add_command(std::string& out, const CLI::App& app, const std::string& path) {
  const auto below = app.get_subcommands([](const CLI::App*) { return true; });
  out += ".SS " + roff_quoted(path + usage_of(app)) + "\n" + roff(app.get_description()) + ".\n";
  if (below.empty()) add_options(out, app);
  if (!app.get_footer().empty()) out += ".PP\n.nf\n" + roff(app.get_footer()) + "\n.fi\n";
  for (const CLI::App* sub : below) add_command(out, *sub, path + " " + sub->get_name());
}

}  // namespace

std::string manual_page(const CLI::App& app) {
  const std::string& description = app.get_description();  // "reconstruct: what it does"
  std::string out = ".TH RECONSTRUCT 1 \"\" \"reconstruct " RECON_VERSION
                    "\" \"User Commands\"\n.SH NAME\nreconstruct \\- " +
                    roff(description.substr(description.find(": ") + 2)) + "\n.SH SYNOPSIS\n.B reconstruct\n" +
                    roff("COMMAND [options]") + "\n.SH OPTIONS\n";
  add_options(out, app);
  out += ".SH COMMANDS\nDefaults stand in brackets; those of train are of --preset paper.\n";
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    add_command(out, *sub, "reconstruct " + sub->get_name());
  return out;
}

}  // namespace recon::apps
