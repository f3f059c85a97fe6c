// Completion in shells, out of the declarations that also make --help.
#include <algorithm>

#include "apps/cli.h"
#include "apps/manual.h"

namespace recon::apps {
namespace {

/// What a shell must know of an option.
struct Word {
  std::vector<std::string> names;   ///< with dashes; none of a positional argument
  std::vector<std::string> values;  ///< that it takes, where they have names
  bool takes_value = false;
  std::string help, value_name;
};

struct Verb {
  std::string path;  ///< "train", "compare fsc", "" for the program itself
  std::string help;
  std::vector<Word> words;
  std::vector<std::pair<std::string, std::string>> below;  ///< commands and what they do
};

/// paper|fast|motion: alternatives in lower case are values; PX|MAP stand for some.
std::vector<std::string> named_values(const std::string& text) {
  const bool named = text.find('|') != std::string::npos &&
                     std::none_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  std::vector<std::string> values;
  std::istringstream parts(named ? text : "");
  for (std::string value; std::getline(parts, value, '|');) values.push_back(value);
  return values;
}

Word word_of(const CLI::Option& option) {
  Word word{.takes_value = option.get_items_expected_max() > 0,
            .help = option.get_description(),
            .value_name = option.get_option_text()};
  word.values = named_values(option.get_option_text());
  if (option.get_positional()) return word;
  for (const std::string& name : option.get_snames()) word.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) word.names.push_back("--" + name);
  return word;
}

void collect(std::vector<Verb>& verbs, const CLI::App& app, const std::string& path) {
  Verb verb{.path = path, .help = app.get_description()};
  for (const CLI::Option* option : app.get_options()) verb.words.push_back(word_of(*option));
  const auto below = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* sub : below) verb.below.emplace_back(sub->get_name(), sub->get_description());
  verbs.push_back(verb);
  for (const CLI::App* sub : below) collect(verbs, *sub, path + (path.empty() ? "" : " ") + sub->get_name());
}

template <class Items, class Text>
std::string joined(const Items& items, const char* between, Text text) {
  std::string out;
  for (const auto& item : items) out += (out.empty() ? "" : between) + text(item);
  return out;
}
std::string joined(const std::vector<std::string>& items, const char* between = " ") {
  return joined(items, between, [](const std::string& item) { return item; });
}

/// In single quotes, for any of the shells.
std::string shell_quoted(std::string text) {
  std::erase(text, '\'');
  return "'" + text + "'";
}

std::string all_names(const Verb& verb) {
  std::vector<std::string> names;
  for (const Word& word : verb.words) names.insert(names.end(), word.names.begin(), word.names.end());
  return joined(names);
}
std::string commands_of(const Verb& verb) {
  return joined(verb.below, " ", [](const auto& sub) { return sub.first; });
}

std::string bash_script(const std::vector<Verb>& verbs) {
  std::string known, lists, values;
  for (const Verb& verb : verbs) {
    if (!verb.path.empty()) known += (known.empty() ? "" : " | ") + shell_quoted(verb.path);
    const auto positional = std::find_if(verb.words.begin(), verb.words.end(),
                                         [](const Word& word) { return word.names.empty() && !word.values.empty(); });
    const std::string plain = positional == verb.words.end() ? commands_of(verb) : joined(positional->values);
    lists += "    " + shell_quoted(verb.path) + ") options=" + shell_quoted(all_names(verb)) +
             " words=" + shell_quoted(plain) + " ;;\n";
    for (const Word& word : verb.words) {
      if (word.names.empty() || !word.takes_value) continue;
      const std::string patterns =
          joined(word.names, " | ", [&](const std::string& name) { return shell_quoted(verb.path + ":" + name); });
      values += "    " + patterns + ") words=" + shell_quoted(joined(word.values)) + " value=1 ;;\n";
    }
  }
  return "# bash completion for reconstruct; made by: reconstruct completion bash\n"
         "_reconstruct() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' options='' "
         "words='' value=0 i\n"
         "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
         "    case \"${command:+$command }${COMP_WORDS[i]}\" in\n"
         "    " +
         known +
         ") command=\"${command:+$command }${COMP_WORDS[i]}\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$command\" in\n" +
         lists +
         "  esac\n"
         "  case \"$command:$before\" in\n" +
         values +
         "  esac\n"
         "  if [[ $value == 0 && $current == -* ]]; then words=$options; fi\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "}\n"
         "complete -o default -F _reconstruct reconstruct\n";
}

/// Within the brackets and between the colons of a specification of _arguments.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') continue;
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_arguments(const Verb& verb) {
  std::string out = "_arguments";
  bool files = false;
  for (const Word& word : verb.words) {
    const std::string values = word.values.empty() ? "_files" : "(" + joined(word.values) + ")";
    const std::string value =
        word.takes_value ? ":" + zsh_text(word.value_name.empty() ? "value" : word.value_name) + ":" + values : "";
    if (word.names.empty() && !word.values.empty()) out += " '1:" + zsh_text(word.help) + ":" + values + "'";
    files |= word.names.empty() && word.values.empty();
    for (const std::string& name : word.names)
      out += " \\\n        '(" + joined(word.names) + ")" + name + "[" + zsh_text(word.help) + "]" + value + "'";
  }
  return out + (files ? " \\\n        '*:file:_files'" : "");
}

std::string zsh_script(const std::vector<Verb>& verbs) {
  std::string cases;
  for (const Verb& verb : verbs) {
    cases += "    " + shell_quoted(verb.path) + ")\n";
    if (!verb.below.empty()) {
      cases +=
          "      commands=(" +
          joined(verb.below, " ", [](const auto& sub) { return "'" + sub.first + ":" + zsh_text(sub.second) + "'"; }) +
          ")\n      [[ $PREFIX == -* ]] || { _describe command commands; return; }\n";
    }
    cases += "      " + zsh_arguments(verb) + " ;;\n";
  }
  std::string known;
  for (const Verb& verb : verbs)
    if (!verb.path.empty()) known += (known.empty() ? "" : "|") + shell_quoted(verb.path);
  return "#compdef reconstruct\n# made by: reconstruct completion zsh\n"
         "_reconstruct() {\n"
         "  local command='' word\n  local -a commands\n"
         "  for word in ${words[2,CURRENT-1]}; do\n"
         "    case \"${command:+$command }$word\" in\n"
         "      (" +
         known +
         ") command=\"${command:+$command }$word\" ;;\n"
         "    esac\n  done\n"
         "  local -a path_words=(${=command})\n  local -i depth=${#path_words}\n"
         "  words=(reconstruct ${words[2+depth,-1]})\n  (( CURRENT -= depth ))\n"
         "  case \"$command\" in\n" +
         cases +
         "  esac\n}\n"
         "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _reconstruct \"$@\"; else compdef _reconstruct "
         "reconstruct; fi\n";
}

/// When a command's options are offered: its words were seen, and none of the commands below it.
std::string fish_condition(const Verb& verb) {
  if (verb.path.empty()) return "__fish_use_subcommand";
  std::istringstream words(verb.path);
  std::string out;
  for (std::string word; words >> word;) out += (out.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from " + word);
  return verb.below.empty() ? out : out + "; and not __fish_seen_subcommand_from " + commands_of(verb);
}

std::string fish_script(const std::vector<Verb>& verbs) {
  std::string out = "# made by: reconstruct completion fish\n";
  for (const Verb& verb : verbs) {
    const std::string line = "complete -c reconstruct -n " + shell_quoted(fish_condition(verb));
    for (const auto& [name, help] : verb.below) out += line + " -f -a " + name + " -d " + shell_quoted(help) + "\n";
    for (const Word& word : verb.words) {
      if (word.names.empty() && !word.values.empty())
        out += line + " -f -a " + shell_quoted(joined(word.values)) + "\n";
      if (word.names.empty()) continue;
      std::string option = line;
      for (const std::string& name : word.names)
        option += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (word.takes_value) option += word.values.empty() ? " -r" : " -x -a " + shell_quoted(joined(word.values));
      out += option + " -d " + shell_quoted(word.help) + "\n";
    }
  }
  return out;
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
  std::vector<Verb> verbs;
  collect(verbs, app, "");
  return shell == "bash" ? bash_script(verbs) : shell == "zsh" ? zsh_script(verbs) : fish_script(verbs);
}

}  // namespace recon::apps
