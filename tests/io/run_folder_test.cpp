#include "io/run_folder.h"

#include <poll.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "io/strict_json.h"
#include "tests/io/support.h"

using namespace recon::io;
using nlohmann::json;

namespace {

Checkpoint numbered(int number) {
  const std::vector<int32_t> value = {number};
  return {{{"number", std::to_string(number)}}, {make_tensor<int32_t>("n", value, {1})}};
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("a folder in use is refused with the holder's name, and free again afterwards") {
  test::TempDir dir;
  {
    const RunFolder first = RunFolder::open(dir / "run");
    const std::string message = test::failure([&] { RunFolder::open(dir / "run"); });
    CHECK(message.starts_with("73 "));
    for (const std::string& part :
         {"/run/lock: in use by process " + std::to_string(::getpid()) + " on ", std::string(" since 20")})
      CHECK_MESSAGE(message.find(part) != std::string::npos, message);
    CHECK_MESSAGE(message.ends_with(
                      "Z; repair: wait for it or choose another folder; delete this file only if that process is gone"),
                  message);
  }
  CHECK_FALSE(std::filesystem::exists(dir / "run/lock"));
  CHECK_NOTHROW(RunFolder::open(dir / "run"));
}

TEST_CASE("of many processes that start at once exactly one gets the folder") {
  test::TempDir dir;
  std::filesystem::create_directories(dir / "run");
  int gate[2], release[2];
  REQUIRE(::pipe(gate) == 0);
  REQUIRE(::pipe(release) == 0);
  constexpr int processes = 12;
  for (int i = 0; i < processes; ++i) {
    if (::fork() != 0) continue;
    char go;
    ::close(gate[1]);
    ::close(release[1]);
    (void)!::read(gate[0], &go, 1);  // ends when the parent closes its end
    int code = 0;
    try {
      const FolderLock lock(dir / "run");
      pollfd end{release[0], POLLIN, 0};
      (void)::poll(&end, 1, 30'000);  // until all others were refused
    } catch (const Error& error) {
      code = error.exit_code;
    }
    ::_exit(code);
  }
  ::close(gate[0]);
  ::close(gate[1]);
  int won = 0, refused = 0;
  for (int i = 0; i < processes; ++i) {
    if (i == processes - 1) ::close(release[1]);
    int status = 0;
    ::waitpid(-1, &status, 0);
    won += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    refused += WIFEXITED(status) && WEXITSTATUS(status) == cannot_create;
  }
  ::close(release[0]);
  CHECK(won == 1);
  CHECK(refused == processes - 1);
}

TEST_CASE("the lock of a killed process is taken over, that of another machine is not") {
  test::TempDir dir;
  std::filesystem::create_directories(dir / "run");
  const pid_t child = ::fork();
  if (child == 0) {
    new FolderLock(dir / "run");
    ::_exit(0);  // without its destructor
  }
  ::waitpid(child, nullptr, 0);
  REQUIRE(std::filesystem::exists(dir / "run/lock"));
  json entry = parse_json(test::slurp(dir / "run/lock"), "lock");
  CHECK_NOTHROW(FolderLock(dir / "run"));
  entry["boot"] = "a boot before this one";
  test::spit(dir / "run/lock", json_text(entry));
  CHECK_NOTHROW(FolderLock(dir / "run"));
  entry["host"] = "elsewhere\x1b[2J";
  entry["job"] = 42;
  test::spit(dir / "run/lock", json_text(entry));
  const std::string message = test::failure([&] { FolderLock lock(dir / "run"); });
  CHECK(message.starts_with("73 "));
  CHECK(message.find("on elsewhere\\x1b[2J since") != std::string::npos);
  CHECK(message.find("(Slurm job 42)") != std::string::npos);
  test::spit(dir / "run/lock", "");
  CHECK_NOTHROW(FolderLock(dir / "run"));
}

TEST_CASE("the same configuration resumes, another is refused with the keys that differ") {
  test::TempDir dir;
  const json config = {{"epochs", 20}, {"model", {{"width", 1024}, {"layers", 3}}}, {"device", "cpu"}};
  CHECK_FALSE(RunFolder::open(dir / "run").settle_config(config));
  CHECK(RunFolder::open(dir / "run").settle_config(config));
  json other = config;
  other["model"]["width"] = 256;
  other["new"] = true;
  other.erase("device");
  CHECK(test::replaced(test::failure([&] { RunFolder::open(dir / "run").settle_config(other); }), dir.path(), "DIR") ==
        "73 DIR/run/config.json: the folder holds a run with another configuration: device: \"cpu\" there, absent now; "
        "model/width: 1024 there, 256 now; new: absent there, true now; repair: choose another folder, or run with the "
        "same "
        "options to resume");
  json longer = config;
  longer["epochs"] = 40;
  const std::vector<std::string> free = {"/epochs"};
  CHECK(RunFolder::open(dir / "run").settle_config(longer, free));
  CHECK(RunFolder::read_only(dir / "run").config() == longer);
}

TEST_CASE("checkpoints without their config.json are not overwritten") {
  test::TempDir dir;
  {
    RunFolder run = RunFolder::open(dir / "run");
    run.settle_config(json::object());
    run.save_checkpoint(1, 10, numbered(1));
  }
  std::filesystem::remove(dir / "run/config.json");
  CHECK(
      test::replaced(test::failure([&] { RunFolder::open(dir / "run").settle_config(json::object()); }), dir.path(),
                     "DIR") ==
      "73 DIR/run: there are checkpoints of a run whose config.json is gone; repair: choose another folder, or restore "
      "config.json");
}

TEST_CASE("the newest two checkpoints are kept and a damaged newest falls back to the one before") {
  test::TempDir dir;
  RunFolder run = RunFolder::open(dir / "run");
  CHECK_FALSE(run.latest_valid_checkpoint().has_value());
  for (int i = 1; i <= 4; ++i) run.save_checkpoint(i, 100 * i, numbered(i));
  CHECK(names_in(dir / "run/checkpoints") ==
        std::vector<std::string>{"ckpt-000003-000000300.safetensors", "ckpt-000004-000000400.safetensors"});
  CHECK(run.latest_valid_checkpoint()->checkpoint == numbered(4));
  const std::string newest = dir / "run/checkpoints/ckpt-000004-000000400.safetensors";
  std::filesystem::resize_file(newest, std::filesystem::file_size(newest) - 1);
  CHECK(run.latest_valid_checkpoint()->checkpoint == numbered(3));
  REQUIRE(run.warnings().size() == 1);
  CHECK(run.warnings()[0].starts_with("passed over a damaged checkpoint: "));
  run.save_checkpoint(3, 350, numbered(35));
  CHECK(names_in(dir / "run/checkpoints") == std::vector<std::string>{"ckpt-000003-000000300.safetensors",
                                                                      "ckpt-000003-000000350.safetensors",
                                                                      "ckpt-000004-000000400.safetensors.damaged"});
  for (const char* name : {"ckpt-000003-000000300.safetensors", "ckpt-000003-000000350.safetensors"})
    test::spit(dir / ("run/checkpoints/" + std::string(name)), "");
  CHECK(
      test::replaced(test::failure([&] { run.latest_valid_checkpoint(); }), dir.path(), "DIR") ==
      "65 DIR/run/checkpoints: all 2 checkpoints are damaged; repair: restore one, or start the run in another folder");
}

TEST_CASE("events are whole lines, and a torn last line is gone after reopening") {
  test::TempDir dir;
  {
    RunFolder run = RunFolder::open(dir / "run");
    run.append_event({{"event", "start"}, {"text", "two\nlines"}});
    run.append_event({{"event", "bad text"}, {"text", "\xff"}});
  }
  std::ofstream(dir / "run/events.jsonl", std::ios::app) << "{\"event\": \"to";
  RunFolder run = RunFolder::open(dir / "run");
  run.append_event({{"event", "resume"}});
  std::istringstream lines(test::slurp(dir / "run/events.jsonl"));
  std::vector<std::string> events;
  for (std::string line; std::getline(lines, line);) events.push_back(parse_json(line, "event")["event"]);
  CHECK(events == std::vector<std::string>{"start", "bad text", "resume"});
}

TEST_CASE("what a killed process left half-written is cleaned up, other files are not touched") {
  test::TempDir dir;
  std::filesystem::create_directories(dir / "run/checkpoints");
  for (const char* name :
       {"run/status.json.tmp.123.4", "run/checkpoints/c.tmp.1.2", "run/notes.tmp.txt", "run/slurm.out"})
    test::spit(dir / name, "x");
  RunFolder run = RunFolder::open(dir / "run");
  run.write_status({{"state", "running"}});
  CHECK(names_in(dir / "run") == std::vector<std::string>{"checkpoints", "events.jsonl", "lock", "notes.tmp.txt",
                                                          "slurm.out", "status.json", "volumes"});
  CHECK(names_in(dir / "run/checkpoints").empty());
}

TEST_CASE("a folder opened for reading takes no lock and refuses to be written") {
  test::TempDir dir;
  CHECK(test::failure([&] { RunFolder::read_only(dir.path()); }).starts_with("66 "));
  RunFolder writer = RunFolder::open(dir / "run");
  writer.settle_config({{"a", 1}});
  writer.save_checkpoint(1, 1, numbered(1));
  RunFolder reader = RunFolder::read_only(dir / "run");
  CHECK(reader.latest_valid_checkpoint()->checkpoint == numbered(1));
  CHECK_THROWS_AS(reader.write_status({}), std::logic_error);
}
