#pragma once
#include <string>

// Texts that are made from the declarations of the command line, for command_line*.cpp only.
namespace CLI {
class App;
}
namespace recon::apps {

/// The manual page reconstruct(1), roff.
std::string manual_page(const CLI::App& app);

/// A script that completes commands, options and named values in "bash", "zsh" or "fish".
std::string completion_script(const CLI::App& app, const std::string& shell);

}  // namespace recon::apps
