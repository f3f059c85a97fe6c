// Gaussian models from JSON and PDB text. The text may be hostile: every field is checked, and errors name it.
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "engine/simulate/model.h"
#include "io/strict_json.h"

namespace recon {
namespace {

using Json = nlohmann::json;
constexpr size_t most_bytes = size_t{256} << 20, most_blobs = 1000000;
constexpr int largest_box = 2048;

[[noreturn]] void fail(const std::string& field, const std::string& what) {
  throw std::invalid_argument("model: " + field + ": " + what);
}

double number(const Json& value, const std::string& field) {
  if (!value.is_number()) fail(field, "a number is wanted, not " + std::string(value.type_name()));
  const double x = value.get<double>();
  if (!std::isfinite(x) || std::abs(x) > 1e9) fail(field, "out of range");
  return x;
}

double positive(const Json& value, const std::string& field) {
  const double x = number(value, field);
  if (x <= 0) fail(field, "must be above 0");
  return x;
}

int64_t integer(const Json& value, const std::string& field, int64_t lowest, int64_t highest) {
  const double x = number(value, field);
  if (x != std::floor(x) || x < double(lowest) || x > double(highest))
    fail(field, "a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest) + " is wanted");
  return static_cast<int64_t>(x);
}

Vector3 vector3(const Json& value, const std::string& field) {
  if (!value.is_array() || value.size() != 3) fail(field, "three numbers [x, y, z] are wanted");
  return {number(value[0], field + "[0]"), number(value[1], field + "[1]"), number(value[2], field + "[2]")};
}

/// Requires an object with no keys but `known`.
void only(const Json& object, const std::string& field, std::initializer_list<std::string_view> known) {
  if (!object.is_object()) fail(field, "an object {...} is wanted");
  for (const auto& [key, value] : object.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      fail(field, "unknown key \"" + key.substr(0, 64) + "\"");
}

const Json& required(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) fail(key, "missing");
  return *found;
}

Json parse(std::string_view text) {
  if (text.size() > most_bytes) throw std::invalid_argument("model: more than 256 MiB of JSON");
  try {
    return Json::parse(text, [](int depth, Json::parse_event_t, Json&) {
      if (depth > 16) throw std::invalid_argument("model: JSON nested deeper than 16");
      return true;
    });
  } catch (const Json::exception& error) {
    throw std::invalid_argument(std::string("model: not valid JSON: ") + error.what());
  }
}

Blob parse_blob(const Json& item, const std::string& field) {
  only(item, field, {"position_angstrom", "weight", "sigma_angstrom", "group"});
  if (!item.contains("position_angstrom")) fail(field + ".position_angstrom", "missing");
  if (!item.contains("sigma_angstrom")) fail(field + ".sigma_angstrom", "missing");
  Blob blob{.position_angstrom = vector3(item["position_angstrom"], field + ".position_angstrom"),
            .weight = 1,
            .sigma_angstrom = positive(item["sigma_angstrom"], field + ".sigma_angstrom"),
            .group = 0};
  if (item.contains("weight")) blob.weight = number(item["weight"], field + ".weight");
  if (item.contains("group")) blob.group = static_cast<int32_t>(integer(item["group"], field + ".group", 0, 1 << 30));
  return blob;
}

std::vector<uint8_t> parse_moving(const Json& value, const std::vector<Blob>& blobs) {
  std::vector<uint8_t> moving(blobs.size(), 0);
  if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i)
      moving[static_cast<size_t>(
          integer(value[i], "moving[" + std::to_string(i) + "]", 0, static_cast<int64_t>(blobs.size()) - 1))] = 1;
  } else {
    const auto group = integer(value, "moving", 0, 1 << 30);
    for (size_t i = 0; i < blobs.size(); ++i) moving[i] = blobs[i].group == group;
  }
  return moving;
}

/// Columns [first, first + count) of a PDB line, 1-based, without blanks at the ends.
std::string_view columns(std::string_view line, size_t first, size_t count) {
  if (line.size() < first) return {};
  std::string_view field = line.substr(first - 1, count);
  while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
  while (!field.empty() && field.back() == ' ') field.remove_suffix(1);
  return field;
}

double parse_number(std::string_view field, size_t line, const char* name) {
  const std::string copy(field);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (copy.empty() || *end || !std::isfinite(value) || std::abs(value) > 1e6)
    throw std::invalid_argument("model: PDB line " + std::to_string(line) + ": " + name + ": not a number");
  return value;
}

double atomic_number(std::string_view element, std::string_view atom) {
  static const std::map<std::string_view, double> known = {{"H", 1},   {"C", 6},   {"N", 7},   {"O", 8},   {"P", 15},
                                                           {"S", 16},  {"MG", 12}, {"ZN", 30}, {"FE", 26}, {"CA", 20},
                                                           {"NA", 11}, {"K", 19},  {"CL", 17}, {"SE", 34}, {"MN", 25}};
  if (const auto found = known.find(element); found != known.end()) return found->second;
  // Old files leave the element out: the atom's name begins with it.
  while (!atom.empty() && atom.front() >= '0' && atom.front() <= '9') atom.remove_prefix(1);
  const auto found = known.find(atom.substr(0, 1));
  return element.empty() && found != known.end() ? found->second : 6;
}

void check_frame(int64_t box, double pixel_size) {
  if (box < 2 || box % 2 || box > largest_box) fail("box", "an even number from 2 to 2048 is wanted");
  if (!(pixel_size > 0) || !std::isfinite(pixel_size)) fail("pixel_size_angstrom", "must be above 0");
}

/// Puts the centre of mass at the origin; the hinge moves along.
void centre(std::vector<Blob>& blobs, Vector3& hinge) {
  Vector3 sum = {0, 0, 0};
  double weight = 0;
  for (const Blob& blob : blobs) {
    weight += blob.weight;
    for (size_t j = 0; j < 3; ++j) sum[j] += blob.weight * blob.position_angstrom[j];
  }
  for (size_t j = 0; j < 3; ++j) {
    for (Blob& blob : blobs) blob.position_angstrom[j] -= sum[j] / weight;
    hinge[j] -= sum[j] / weight;
  }
}

}  // namespace

GaussianModel model_from_json(std::string_view text) {
  const Json root = parse(text);
  only(root, "top level", {"pixel_size_angstrom", "box", "blobs", "bond", "moving"});
  GaussianModel model;
  model.pixel_size_angstrom = positive(required(root, "pixel_size_angstrom"), "pixel_size_angstrom");
  model.box = static_cast<int>(integer(required(root, "box"), "box", 2, largest_box));
  check_frame(model.box, model.pixel_size_angstrom);
  const Json& blobs = required(root, "blobs");
  if (!blobs.is_array() || blobs.empty()) fail("blobs", "a list of at least one is wanted");
  if (blobs.size() > most_blobs) fail("blobs", "more than a million");
  for (size_t i = 0; i < blobs.size(); ++i)
    model.blobs.push_back(parse_blob(blobs[i], "blobs[" + std::to_string(i) + "]"));
  model.moving.assign(model.blobs.size(), 0);
  if (root.contains("bond")) {
    const Json& bond = root["bond"];
    only(bond, "bond", {"hinge_angstrom", "axis", "angle_deg"});
    model.hinge_angstrom = vector3(required(bond, "hinge_angstrom"), "bond.hinge_angstrom");
    model.axis = vector3(required(bond, "axis"), "bond.axis");
    if (std::hypot(model.axis[0], model.axis[1], model.axis[2]) < 1e-9) fail("bond.axis", "has no length");
    model.angle_deg = bond.contains("angle_deg") ? number(bond["angle_deg"], "bond.angle_deg") : 90;
  }
  if (root.contains("moving")) {
    if (!root.contains("bond")) fail("moving", "needs a \"bond\" to move about");
    model.moving = parse_moving(root["moving"], model.blobs);
  }
  return model;
}

std::string model_to_json(const GaussianModel& model) {
  Json root = {{"pixel_size_angstrom", model.pixel_size_angstrom}, {"box", model.box}, {"blobs", Json::array()}};
  Json moving = Json::array();
  for (size_t i = 0; i < model.blobs.size(); ++i) {
    const Blob& blob = model.blobs[i];
    root["blobs"].push_back({{"position_angstrom", blob.position_angstrom},
                             {"weight", blob.weight},
                             {"sigma_angstrom", blob.sigma_angstrom},
                             {"group", blob.group}});
    if (i < model.moving.size() && model.moving[i]) moving.push_back(i);
  }
  root["bond"] = {{"hinge_angstrom", model.hinge_angstrom}, {"axis", model.axis}, {"angle_deg", model.angle_deg}};
  root["moving"] = moving;
  return io::json_text(root, 1);
}

namespace {

/// One ATOM or HETATM record.
struct Atom {
  Vector3 position;
  int residue;
  char chain;
  std::string_view name, element;
};

Atom parse_atom(std::string_view line, size_t number_of_line) {
  return {.position = {parse_number(columns(line, 31, 8), number_of_line, "x"),
                       parse_number(columns(line, 39, 8), number_of_line, "y"),
                       parse_number(columns(line, 47, 8), number_of_line, "z")},
          .residue = static_cast<int>(parse_number(columns(line, 23, 4), number_of_line, "residue number")),
          .chain = line.size() >= 22 ? line[21] : ' ',
          .name = columns(line, 13, 4),
          .element = columns(line, 77, 2)};
}

/// The atoms of the first model.
std::vector<Atom> parse_atoms(std::string_view text) {
  std::vector<Atom> atoms;
  for (size_t number_of_line = 1; !text.empty(); ++number_of_line) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.starts_with("ENDMDL")) break;
    if (!line.starts_with("ATOM  ") && !line.starts_with("HETATM")) continue;
    if (atoms.size() >= most_blobs) throw std::invalid_argument("model: PDB: more than a million atoms");
    atoms.push_back(parse_atom(line, number_of_line));
  }
  if (atoms.empty()) throw std::invalid_argument("model: PDB: no ATOM record");
  return atoms;
}

Vector3 alpha_carbon(const std::vector<Atom>& atoms, char chain, int residue, const char* field) {
  for (const Atom& atom : atoms)
    if (atom.chain == chain && atom.residue == residue && atom.name == "CA") return atom.position;
  fail(field, std::string("chain ") + chain + " has no CA of residue " + std::to_string(residue));
}

}  // namespace

GaussianModel model_from_pdb(std::string_view text, const PdbOptions& options) {
  check_frame(options.box, options.pixel_size_angstrom);
  if (!(options.sigma_angstrom > 0)) fail("sigma_angstrom", "must be above 0");
  const auto atoms = parse_atoms(text);
  GaussianModel model{.pixel_size_angstrom = options.pixel_size_angstrom,
                      .box = options.box,
                      .blobs = {},
                      .moving = {},
                      .hinge_angstrom = {0, 0, 0},
                      .axis = {0, 0, 1},
                      .angle_deg = options.chain ? options.angle_deg : 0};
  const bool whole_chain = options.last_residue < options.first_residue;
  for (const Atom& atom : atoms) {
    const bool within = atom.residue >= options.first_residue && atom.residue <= options.last_residue;
    const bool moves = options.chain && atom.chain == options.chain && (whole_chain || within);
    model.blobs.push_back({.position_angstrom = atom.position,
                           .weight = atomic_number(atom.element, atom.name),
                           .sigma_angstrom = options.sigma_angstrom,
                           .group = moves ? 1 : 0});
    model.moving.push_back(moves);
  }
  if (options.chain) {
    const Vector3 from = alpha_carbon(atoms, options.chain, options.bond_from, "bond_from");
    const Vector3 to = alpha_carbon(atoms, options.chain, options.bond_to, "bond_to");
    model.hinge_angstrom = from;
    model.axis = {to[0] - from[0], to[1] - from[1], to[2] - from[2]};
    if (std::hypot(model.axis[0], model.axis[1], model.axis[2]) < 1e-6) fail("bond_to", "is where bond_from is");
  }
  centre(model.blobs, model.hinge_angstrom);
  return model;
}

}  // namespace recon
