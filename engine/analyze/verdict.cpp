#include "engine/analyze/verdict.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/analyze/fsc.h"
#include "engine/analyze/markup.h"
#include "engine/geometry/rotation.h"

namespace recon {
namespace {

std::string percent(double part) { return number_text(std::round(1000 * part) / 10) + " %"; }

std::string length_text(double px, double angstrom) {
  return angstrom > 0 ? number_text(std::round(10 * px * angstrom) / 10) + " Å (" + number_text(px) + " px)"
                      : number_text(px) + " px";
}

/// Epochs of the last stage that the result comes from: half sets are trained after it.
std::vector<EpochRecord> result_epochs(const RunRecord& run) {
  int stage = -1;
  for (const EpochRecord& e : run.epochs) {
    const std::string& name =
        static_cast<size_t>(e.stage) < run.stage_names.size() ? run.stage_names[static_cast<size_t>(e.stage)] : "";
    if (!name.starts_with("half")) stage = std::max(stage, e.stage);
  }
  std::vector<EpochRecord> out;
  for (const EpochRecord& e : run.epochs)
    if (e.stage == stage && e.kind != "random poses") out.push_back(e);
  return out;
}

Check training(const RunRecord& run) {
  Check check{.title = "Training"};
  const std::string time = time_text(run.elapsed_seconds);
  if (run.state == "finished") {
    check.sign = Sign::good;
    check.text = "The run is finished, after " + time + ".";
  } else if (run.state == "stopped") {
    check.sign = Sign::unsure;
    check.text = "The run was stopped after " + time + ". The same command goes on from its checkpoint.";
  } else {
    check.text = "The run is going on" + (run.elapsed_seconds > 0 ? ", " + time + " so far." : ".");
  }
  return check;
}

/// What a model may account for in images of nothing but noise. As many free numbers as a map has (of each dimension of
/// the latent one more) would explain their share of the N·π/4·D² numbers in the images, and the best of about half a
/// million poses an image 2 ln(500,000) of its π/4·D². A network is smoother than free numbers: of images of noise it
/// accounted for 0.29 (poses searched) and 0.33 (given) of that, so half of it is what could be chance.
double explained_by_chance(const RunRecord& run) {
  const double pixels = std::numbers::pi / 4 * run.side * run.side, images = static_cast<double>(run.images);
  if (pixels <= 0 || images <= 0) return 0;
  const double maps = (1 + run.latent) * (2.0 / 3) * run.side / images;
  return std::min(1.0, 0.5 * (maps + (run.searches ? 2 * std::log(5e5) / pixels : 0) + run.latent / pixels));
}

Check fit(const RunRecord& run) {
  Check check{.title = "Fit to the images"};
  const auto epochs = result_epochs(run);
  if (epochs.empty()) {
    check.text = "No epoch has ended yet.";
    return check;
  }
  const double loss = epochs.back().loss, fallen = epochs.front().loss - loss;
  if (run.weighted_noise) {
    check.sign = fallen > 0 || epochs.size() < 2 ? Sign::good : Sign::bad;
    check.text = "The loss, weighted by the noise of each frequency, went from " + number_text(epochs.front().loss) +
                 " to " + number_text(loss) + ".";
    return check;
  }
  const double explained = 1 - loss;
  const double chance = explained_by_chance(run);
  check.sign = explained <= 0 ? Sign::bad : explained < chance ? Sign::unsure : Sign::good;
  const std::string measured = " of what the images hold (loss " + number_text(loss) + "; 1 would be nothing)";
  if (explained <= 0)
    check.text = "The model accounts for nothing" + measured + ": look at contrast, window and poses.";
  else if (explained < chance)
    check.text = "The model accounts for " + percent(explained) + measured + ". Up to " + percent(chance) +
                 " could be had from pure noise with so few images: this alone shows nothing.";
  else
    check.text = "The model accounts for " + percent(explained) + measured + ". The rest is noise, or not found.";
  return check;
}

/// A curve whose last quarter still brings more than this part of all that training brought has not levelled.
constexpr double still_falling = 0.15;

Check convergence(const RunRecord& run) {
  Check check{.title = "Convergence"};
  auto epochs = result_epochs(run);
  // A search that is followed by polished poses begins a new network: what counts is the last stretch of one kind.
  while (epochs.size() > 1 && epochs.front().kind != epochs.back().kind) epochs.erase(epochs.begin());
  if (epochs.size() < 4) {
    check.text = "Too few epochs to see whether the loss has levelled.";
    return check;
  }
  const double last = epochs.back().loss, fallen = epochs.front().loss - last;
  const double recent = epochs[epochs.size() * 3 / 4 - 1].loss - last;
  const bool level = fallen <= 0 || recent <= still_falling * fallen;
  check.sign = level ? Sign::good : run.state == "finished" ? Sign::unsure : Sign::open;
  check.text = level ? "The loss has levelled: the last quarter of the epochs brought " +
                           percent(fallen > 0 ? std::max(0.0, recent / fallen) : 0) + " of its fall."
                     : "The loss was still falling: the last quarter of the epochs brought " +
                           percent(recent / fallen) + " of its fall. More epochs may give more detail.";
  return check;
}

/// Poses of a right basin move by about the search's last step (1 degree); those of a wrong one by tens.
constexpr double settled_degrees = 5, lost_degrees = 20;

Check poses(const RunRecord& run) {
  Check check{.title = "Poses"};
  std::optional<double> change;
  for (const EpochRecord& e : result_epochs(run))
    if (e.pose_change_degrees) change = e.pose_change_degrees;
  if (!change) {
    check.text = "No epoch of the search has ended yet.";
    return check;
  }
  const std::string moved = "In the last epoch that searched, half of the images turned by less than " +
                            number_text(std::round(10 * *change) / 10) + "°";
  check.sign = *change < settled_degrees ? Sign::good : *change < lost_degrees ? Sign::unsure : Sign::bad;
  check.text = check.sign == Sign::good ? moved + ": the poses have settled."
                                        : moved +
                                              ": the poses have not settled. More search epochs, a lower band or "
                                              "another seed may help.";
  if (run.state != "finished" && check.sign != Sign::good) check.sign = Sign::open;
  return check;
}

Check starts(const RunRecord& run) {
  Check check{.title = "Random starts"};
  if (run.starts == 0) {
    const bool waits = run.stage_names.size() > 1 && run.stage_names[0].starts_with("start");
    check.sign = waits || run.state != "finished" ? Sign::open : Sign::unsure;
    check.text = waits ? "The starts are still racing."
                       : "One random start: it can end in a wrong structure that fits almost as well. Run another "
                         "--seed and compare the poses (reconstruct compare poses).";
    return check;
  }
  const std::string starts = std::to_string(run.starts) + " random starts";
  check.sign = run.agreed ? Sign::good : Sign::bad;
  check.text =
      check.sign == Sign::good
          ? "Two of " + starts + ", each from nothing, came to the same orientations for " + percent(run.agreement) +
                " of the images: chance does not do that."
          : "No two of " + starts + " came to the same orientations (at best for " + percent(run.agreement) +
                " of the images): the structure is probably wrong. Try more --starts, another --band-start, or more "
                "images.";
  return check;
}

Check resolution(const RunRecord& run) {
  Check check{.title = "Resolution"};
  if (run.half_maps) {
    const auto& curve = run.half_maps->correlation;
    const double px = resolution_px(curve, 0.143), shells = static_cast<double>(curve.size());
    check.sign = px <= 2 * shells / 4 ? Sign::good : Sign::bad;  // fewer than four shells: a blob
    check.text = check.sign == Sign::bad
                     ? "The half maps agree in nothing but the coarsest outline, to " +
                           length_text(px, run.pixel_size_angstrom) + " (FSC 0.143)."
                     : "Half maps agree to " + length_text(px, run.pixel_size_angstrom) +
                           " (FSC 0.143). They share the poses, so the figure is on the hopeful side.";
  }
  if (run.truth) {
    const double px = resolution_px(run.truth->correlation, 0.5), shells = double(run.truth->correlation.size());
    if (px > 2 * shells / 4) check.sign = Sign::bad;
    if (check.sign == Sign::open) check.sign = Sign::good;
    check.text += (check.text.empty() ? "" : " ") + std::string("The known structure is met to ") +
                  length_text(px, run.pixel_size_angstrom) + " (FSC 0.5).";
  }
  if (check.text.empty())
    check.text = run.latent > 0
                     ? "Not measured: a family of structures has no half maps. For simulated images compare structures "
                       "does it, and analyze --fsc shows it here."
                     : "Not measured. Train with --half-maps, or give analyze a comparison with a known map (--fsc).";
  return check;
}

/// Noise has no piece that holds even half of what stands out; particles seldom have less than nine tenths in one.
constexpr double whole_part = 0.8, scattered_part = 0.5, rim_part = 0.05;

Check density(const Evidence& evidence) {
  Check check{.title = "Density"};
  if (evidence.volumes.empty()) {
    check.text = "Volumes are made when the run ends.";
    return check;
  }
  double pieces = 1, rim = 0;
  for (const VolumeFigures& v : evidence.volumes) pieces = std::min(pieces, v.one_piece), rim = std::max(rim, v.at_rim);
  check.sign = pieces >= whole_part && rim < rim_part ? Sign::good : pieces < scattered_part ? Sign::bad : Sign::unsure;
  check.text = percent(pieces) + " of what stands out hangs together" +
               (evidence.volumes.size() > 1 ? " in the worst of the volumes" : "") +
               (pieces >= whole_part       ? ", as a particle does."
                : pieces >= scattered_part ? "; the rest is scattered about, as noise is."
                                           : ": noise scatters like that, particles do not.");
  if (rim >= rim_part)
    check.text +=
        " " + percent(rim) + " lies at the rim of the box: the box may be too tight, or the images off centre.";
  return check;
}

/// Patches without a view leave directions in which the map is not determined.
constexpr double few_gaps = 0.05, many_gaps = 0.3, flat_views = 0.3;

Check coverage(const ViewFigures& views, bool searched) {
  Check check{.title = "Directions of view"};
  const bool even = views.empty <= few_gaps && views.weakest >= flat_views;
  check.sign = even ? Sign::good : Sign::unsure;
  check.text =
      (views.empty <= 0 ? "Every direction has images" : percent(views.empty) + " of all directions have no image") +
      std::string("; along the least seen axis there is ") + percent(std::min(1.0, views.weakest)) +
      " of what even views would give.";
  if (!even)
    check.text += views.empty > many_gaps || views.weakest < flat_views
                      ? " Detail is lost along the missing directions: look for smearing there."
                      : " Small gaps: look for smearing along them.";
  if (!even && searched) check.text += " Where poses are searched, crowded views can also mean a wrong structure.";
  return check;
}

/// Nats a dimension below which an encoder says nothing, and part of the density that must move with the latent.
constexpr double collapsed_nats = 0.1, still_part = 0.05;

Check heterogeneity(const Evidence& evidence) {
  const RunRecord& run = evidence.run;
  Check check{.title = "Heterogeneity"};
  const auto epochs = result_epochs(run);
  if (run.encoder && !epochs.empty() && run.state == "finished" && epochs.back().kl < collapsed_nats * run.latent) {
    check.sign = Sign::bad;
    check.text = "The latent has collapsed: the encoder tells the images nothing apart (KL " +
                 number_text(epochs.back().kl) + " nats). Train longer, lower --kl-weight, or use --latent table.";
    return check;
  }
  if (evidence.change.empty()) {
    check.text = "Volumes along the latent are made when the run ends.";
    return check;
  }
  if (density(evidence).sign == Sign::bad) {
    check.text = "What changes along the latent says nothing while the density is scattered.";
    return check;
  }
  const double change = evidence.change.front();
  check.sign = change >= still_part ? Sign::good : Sign::unsure;
  check.text =
      "From one end of the first principal component to the other the density changes by " + percent(change) +
      (change >= still_part ? ": the latent moves the structure." : ": next to nothing moves with the latent.");
  return check;
}

void answer(const RunRecord& run, Verdict& verdict) {
  const auto count = [&](Sign sign) {
    return std::count_if(verdict.checks.begin(), verdict.checks.end(), [&](const Check& c) { return c.sign == sign; });
  };
  const auto good = count(Sign::good), unsure = count(Sign::unsure), bad = count(Sign::bad);
  const std::string judged = std::to_string(good) + " of " + std::to_string(good + unsure + bad) + " checks are good";
  std::string worst;
  for (const Check& c : verdict.checks)
    if (c.sign == Sign::bad || (bad == 0 && c.sign == Sign::unsure)) worst += (worst.empty() ? "" : ", ") + c.title;
  std::transform(worst.begin(), worst.end(), worst.begin(), [](unsigned char c) { return std::tolower(c); });
  const bool over = run.state == "finished", measured = run.half_maps || run.truth;
  if (bad > 0) {
    verdict.sign = Sign::bad;
    verdict.answer = over ? "Probably not." : "Not so far.";
    verdict.why = judged + "; what fails: " + worst + ".";
  } else if (!over) {
    const bool stopped = run.state == "stopped";
    verdict.sign = stopped ? Sign::unsure : Sign::open;
    verdict.answer = stopped ? "It was stopped before its end." : "Too early to tell.";
    verdict.why = std::string("No sign of failure in what there is so far. ") +
                  (stopped ? "The same command goes on." : "This page is renewed as the run goes on: reload it.");
  } else if (unsure > 0) {
    verdict.sign = Sign::unsure;
    verdict.answer = unsure == 1 ? "Probably." : "Doubtful.";
    verdict.why = judged + "; look at: " + worst + ".";
  } else {
    verdict.sign = Sign::good;
    verdict.answer = measured ? "Yes." : "It looks like it.";
    verdict.why = "All " + std::to_string(good) + " checks that could be made are good" +
                  (measured ? "." : "; how fine the detail is has not been measured.");
  }
}

}  // namespace

ViewFigures view_figures(std::span<const float> matrices) {
  const size_t images = matrices.size() / 9;
  const auto rings = static_cast<size_t>(std::clamp(std::sqrt(static_cast<double>(images) / 10), 1.0, 8.0));
  std::vector<int64_t> patches(rings * 2 * rings, 0);
  double moments[3][3] = {};
  for (size_t i = 0; i < images; ++i) {
    double v[3] = {matrices[9 * i + 6], matrices[9 * i + 7], matrices[9 * i + 8]};  // Rᵀz: the direction of view
    for (size_t a = 0; a < 3; ++a)
      for (size_t b = 0; b < 3; ++b) moments[a][b] += v[a] * v[b] / static_cast<double>(images);
    if (v[2] < 0)
      for (double& c : v) c = -c;
    const double turn = std::atan2(v[1], v[0]) / (2 * std::numbers::pi) + 0.5;
    const auto ring = std::min(rings - 1, static_cast<size_t>(v[2] * static_cast<double>(rings)));
    ++patches[ring * 2 * rings + std::min(2 * rings - 1, static_cast<size_t>(turn * 2 * static_cast<double>(rings)))];
  }
  // Smallest eigenvalue of the symmetric moments, by the trigonometric solution of the cubic.
  const double p1 = moments[0][1] * moments[0][1] + moments[0][2] * moments[0][2] + moments[1][2] * moments[1][2];
  const double q = (moments[0][0] + moments[1][1] + moments[2][2]) / 3;
  double p2 = 2 * p1;
  for (size_t a = 0; a < 3; ++a) p2 += (moments[a][a] - q) * (moments[a][a] - q);
  const double p = std::sqrt(p2 / 6);
  double smallest = q;
  if (p > 1e-12) {
    Matrix3 b;
    for (size_t a = 0; a < 3; ++a)
      for (size_t c = 0; c < 3; ++c) b[3 * a + c] = (moments[a][c] - (a == c ? q : 0)) / p;
    const double angle = std::acos(std::clamp(determinant(b) / 2, -1.0, 1.0)) / 3;
    smallest = q + 2 * p * std::cos(angle + 2 * std::numbers::pi / 3);
  }
  const auto without = std::count(patches.begin(), patches.end(), 0);
  return {.empty = static_cast<double>(without) / static_cast<double>(patches.size()), .weakest = 3 * smallest};
}

Verdict judge(const Evidence& evidence) {
  const RunRecord& run = evidence.run;
  Verdict verdict;
  auto& checks = verdict.checks;
  checks = {training(run), fit(run), convergence(run)};
  if (run.searches) checks.push_back(poses(run));
  if (run.searches) checks.push_back(starts(run));
  checks.push_back(density(evidence));
  if (run.latent > 0 && !run.frozen_latents) checks.push_back(heterogeneity(evidence));
  checks.push_back(resolution(run));
  if (!evidence.views.empty()) checks.push_back(coverage(evidence.views.front(), run.searches));
  if (!run.warnings.empty())
    checks.push_back({Sign::unsure, "Warnings",
                      std::to_string(run.warnings.size()) +
                          (run.warnings.size() == 1 ? " warning was given: " : " warnings were given; the first: ") +
                          run.warnings.front()});
  answer(run, verdict);
  return verdict;
}

}  // namespace recon
