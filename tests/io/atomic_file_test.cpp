#include "io/atomic_file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>

#include "tests/io/support.h"

using namespace recon::io;

TEST_CASE("a file that is not committed leaves the old one and no trace") {
  test::TempDir dir;
  write_file(dir / "a", "old");
  {
    AtomicFile file(dir / "a");
    file.write("new");
  }
  CHECK(test::slurp(dir / "a") == "old");
  {
    AtomicFile file(dir / "a");
    file.write("new");
    CHECK_THROWS_AS(file.commit([](const std::string& temporary) {
      CHECK(test::slurp(temporary) == "new");
      throw std::runtime_error("refused");
    }),
                    std::runtime_error);
  }
  CHECK(test::slurp(dir / "a") == "old");
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("small and large pieces and overwritten bytes arrive in order") {
  test::TempDir dir;
  std::string expected;
  AtomicFile file(dir / "a");
  for (size_t piece : {1u, 1000u, 300000u, 5u, 262144u, 0u, 262143u, 2u}) {
    const std::string text(piece, static_cast<char>('a' + expected.size() % 26));
    file.write(text);
    expected += text;
  }
  CHECK(file.size() == static_cast<int64_t>(expected.size()));
  file.write_at(3, std::as_bytes(std::span("XYZ", 3)));
  expected.replace(3, 3, "XYZ");
  file.write("tail");
  file.commit();
  CHECK(test::slurp(dir / "a") == expected + "tail");
}

TEST_CASE("what cannot be replaced or created is refused with exit code 73") {
  test::TempDir dir;
  std::filesystem::create_directories(dir / "folder");
  const auto message = [&](const std::string& path) {
    return test::replaced(test::failure([&] { AtomicFile file(path); }), dir.path(), "DIR");
  };
  CHECK(message(dir / "folder") ==
        "73 DIR/folder: exists and is not a regular file; repair: choose another output name");
  CHECK(message("/dev/null") == "73 /dev/null: exists and is not a regular file; repair: choose another output name");
  CHECK(message(dir / "none/a") ==
        "73 DIR/none/a: cannot be created: No such file or directory; repair: create the folder first");
  test::spit(dir / "file", "");
  CHECK(test::failure([&] { create_folders(dir / "file"); }).starts_with("73 "));
}

TEST_CASE("a write beyond the file size limit is an I/O error and the old file stays") {
  test::TempDir dir;
  write_file(dir / "a", "old");
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int code = 0;
    try {
      write_file(dir / "a", std::string(5000, 'x'));
    } catch (const Error& error) {
      code = error.exit_code;
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == io_failure);
  CHECK(test::slurp(dir / "a") == "old");
}

TEST_CASE("messages cannot send escapes or break lines") {
  CHECK(printable("a\x1b[31mb\n\x7f\xff\xc3\xa9\xe2\x80\xae\xc2\x9b") ==
        "a\\x1b[31mb\\x0a\\x7f\\xff\xc3\xa9\\xe2\\x80\\xae\\xc2\\x9b");
  CHECK(printable(std::string(500, 'x'), 10) == "xxxxxxxxxx...");
  CHECK(describe({"f\n", "line 12", "_rlnVoltage", "abc", "not a number", "give --voltage"}) ==
        "f\\x0a: line 12: _rlnVoltage = 'abc': not a number; repair: give --voltage");
}

TEST_CASE("only regular files are opened, and a pipe without a writer does not hang") {
  test::TempDir dir;
  REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  std::filesystem::create_symlink(dir / "gone", dir / "dangling");
  const auto message = [&](const std::string& path) {
    return test::replaced(test::failure([&] { FileSource source(path); }), dir.path(), "DIR");
  };
  CHECK(message(dir / "pipe") == "66 DIR/pipe: not a regular file but a pipe; repair: give a file on disk");
  CHECK(message(dir.path()) == "66 DIR: not a regular file but a directory; repair: give a file on disk");
  CHECK(message("/dev/zero") == "66 /dev/zero: not a regular file but a device; repair: give a file on disk");
  CHECK(message(dir / "dangling") ==
        "66 DIR/dangling: cannot be opened: No such file or directory; repair: check the path");
}

#ifdef RECON_FAULTS
namespace {

/// Runs `write` in a child with a failpoint armed; gives its exit status as waitpid does.
int run_armed(const std::string& failpoint, const std::function<void()>& write) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("RECONSTRUCT_FAILPOINT", failpoint.c_str(), 1);
    int code = 0;
    try {
      write();
    } catch (const Error& error) {
      code = error.exit_code;
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST_CASE("killed or failing at any point, a reader finds the old file or the new one") {
  const std::string old_text(400'000, 'o'), new_text(500'000, 'n');
  for (const char* place :
       {"file.open", "file.write", "file.before_fsync", "file.before_rename", "file.before_dirsync", "file.after"})
    for (const char* action : {"kill", "enospc", "eio"})
      for (const char* nth : {"1", "2"}) {
        CAPTURE(place);
        CAPTURE(action);
        CAPTURE(nth);
        test::TempDir dir;
        write_file(dir / "a", old_text);
        const int status = run_armed(std::string(place) + ":" + nth + ":" + action, [&] {
          AtomicFile file(dir / "a");
          file.write(std::string_view(new_text).substr(0, 300'000));
          file.write(std::string_view(new_text).substr(300'000));
          file.commit();
        });
        const std::string text = test::slurp(dir / "a");
        CHECK((text == old_text || text == new_text));
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) CHECK(text == new_text);
        if (WIFEXITED(status)) CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
        const bool early = std::string(place) != "file.before_dirsync" && std::string(place) != "file.after";
        if (early && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) CHECK(text == old_text);
      }
}

TEST_CASE("a full disk is reported with the bytes needed and free") {
  test::TempDir dir;
  ::setenv("RECONSTRUCT_FAILPOINT", "full.write:1:enospc", 1);
  const std::string message = test::failure([&] { write_file(dir / "a", "12345", "full"); });
  ::unsetenv("RECONSTRUCT_FAILPOINT");
  CHECK(message.find("74 ") == 0);
  CHECK(message.find("writing failed: No space left on device (5 bytes needed, ") != std::string::npos);
  CHECK(message.find(" free); repair: free some space") != std::string::npos);
}
#endif
