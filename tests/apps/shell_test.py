#!/usr/bin/env python3
"""The manual page, completion in shells, doctor, and what cmake --install puts where.

    python3 tests/apps/shell_test.py path/to/reconstruct

Completion is tried in bash; in zsh and fish, and the page with groff and mandoc, where those are installed.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = ""
FACILITY = Path(__file__).resolve().parents[2] / "apps" / "facility"


def call(*arguments, **options):
    return subprocess.run(list(map(str, arguments)), capture_output=True, text=True, timeout=60, **options)


class Shell(unittest.TestCase):
    def printed(self, *arguments):
        done = call(PROGRAM, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return done.stdout

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.addCleanup(self.folder.cleanup)

    def script(self, shell):
        path = self.path / shell
        path.write_text(self.printed("completion", shell))
        return path

    def bash(self, *words):
        """What bash offers for the last of the words."""
        quoted = " ".join(f"'{word}'" for word in ("reconstruct", *words))
        done = call("bash", "--norc", "-uc", f"source {self.script('bash')}; COMP_WORDS=({quoted}); "
                    f"COMP_CWORD={len(words)}; _reconstruct; printf '%s\\n' \"${{COMPREPLY[@]-}}\"")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_bash_completes_commands_options_and_values(self):
        self.assertEqual(call("bash", "-n", self.script("bash")).stderr, "")
        self.assertEqual(self.bash("tr"), ["train"])
        self.assertEqual(self.bash("compare", "f"), ["fsc"])
        self.assertEqual(set(self.bash("compare", "")), {"fsc", "poses", "structures", "latents"})
        self.assertEqual(self.bash("train", "x.star", "--pre"), ["--preset", "--precision"])
        self.assertEqual(self.bash("train", "--preset", ""), ["paper", "fast", "motion"])
        self.assertEqual(self.bash("train", "--no-w"), ["--no-window"])
        self.assertEqual(self.bash("train", "-o", "r"), [])  # files: bash's own
        self.assertEqual(self.bash("compare", "fsc", "--al"), ["--align", "--align-poses", "--aligned"])
        self.assertEqual(self.bash("completion", "z"), ["zsh"])

    def test_every_option_of_the_help_is_offered_and_in_the_manual(self):
        page = self.printed("--man").replace("\\-", "-")
        for command in ("simulate", "train", "volumes", "compare poses", "relion-external", "doctor"):
            text = self.printed(*command.split(), "--help-all")
            options = {word.strip(",") for line in text.splitlines() if line.startswith("  -")
                       for word in line[2:28].split() if word.startswith("--")}
            self.assertGreater(len(options), 3)
            self.assertLessEqual(options, set(self.bash(*command.split(), "--")), command)
            for option in options - {"--help", "--help-all"}:
                self.assertIn(option, page, command)

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_takes_its_script(self):
        script = self.script("zsh")
        self.assertEqual(call("zsh", "-n", script).stderr, "")
        # A terminal of zsh's own, in which a key completes.
        done = call("zsh", "-f", "-c", f"""
            zmodload zsh/zpty; zpty -b z zsh -f -i
            zpty -w z "PS1=; autoload -Uz compinit; compinit -u -D; source {script}; bindkey '^I' complete-word; print ready"
            zpty -r -m z line '*ready*ready*'
            zpty -w -n z $'reconstruct compare struc\\t'; sleep 1; zpty -r z line; print -r -- $line
            zpty -w -n z $'\\C-ureconstruct train --preset mo\\t'; sleep 1; zpty -r z line; print -r -- $line""")
        self.assertIn("compare structures", done.stdout, done)
        self.assertIn("--preset motion", done.stdout, done)

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish_completes(self):
        script = self.script("fish")
        self.assertEqual(call("fish", "-n", script).stderr, "")
        for line, wanted in (("tr", {"train"}), ("compare st", {"structures"}), ("train --preset ", {"paper", "fast", "motion"}),
                             ("train --zd", {"--zdim"}), ("completion z", {"zsh"})):
            done = call("fish", "-c", f"source {script}; complete -C 'reconstruct {line}'")
            self.assertEqual({row.split("\t")[0] for row in done.stdout.splitlines()}, wanted, line)

    def test_doctor_tells_what_is_there_and_what_would_help(self):
        told = json.loads(self.printed("doctor", "--json", "--device", "cpu"))
        self.assertIn("OpenBLAS", told["blas"])
        self.assertRegex(told["disk_write_here"], r"^[0-9.]+ [MG]iB/s$")
        self.assertRegex(told["disk_read_here"], r"^[0-9.]+ [MG]iB/s$")
        self.assertTrue(told["self_test"]["passed"])
        self.assertFalse(any("ulimit -n" in text for text in told["suggestions"]))
        poor = call("bash", "-c", f"ulimit -n 100; taskset -c 0 '{PROGRAM}' doctor --json --device cpu", cwd=self.path)
        told = json.loads(poor.stdout)
        self.assertEqual((told["limit_open_files"], told["usable_cores"]), ("100", 1))
        for words in ("ulimit -n", "--cpus-per-task"):
            self.assertTrue(any(words in text for text in told["suggestions"]), told)
        self.assertEqual(list(self.path.iterdir()), [])

    def test_the_manual_is_a_page(self):
        page = self.path / "reconstruct.1"
        page.write_text(self.printed("--man"))
        if shutil.which("groff"):
            done = call("groff", "-man", "-Tutf8", "-ww", "-z", page)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        if shutil.which("mandoc"):
            self.assertEqual(call("mandoc", "-Tlint", "-Wwarning", page).returncode, 0)
        text = page.read_text()
        for heading in (".TH RECONSTRUCT 1", ".SH NAME", ".SH SYNOPSIS", ".SH COMMANDS"):
            self.assertIn(heading, text)
        for line in text.splitlines():  # a text must not be taken for a request
            if line.startswith((".", "'")):
                self.assertIn(line.split()[0], {".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".I", ".nf", ".fi"})

    def test_an_installation_has_all_in_place(self):
        build = Path(PROGRAM).parent
        if not (build / "cmake_install.cmake").exists():
            self.skipTest("the program does not stand in a build folder")
        done = call("cmake", "--install", build, "--prefix", "/usr", env={"DESTDIR": str(self.path), "PATH": "/usr/bin:/bin"})
        self.assertEqual(done.returncode, 0, done.stderr)
        usr = self.path / "usr"
        for name in ("bin/reconstruct", "share/man/man1/reconstruct.1", "share/bash-completion/completions/reconstruct",
                     "share/zsh/site-functions/_reconstruct", "share/fish/vendor_completions.d/reconstruct.fish",
                     "share/doc/reconstruct/README.md", "share/doc/reconstruct/LICENSE",
                     "share/doc/reconstruct/facility/reconstruct.sbatch"):
            self.assertGreater((usr / name).stat().st_size, 100, name)
        self.assertEqual((usr / "share/man/man1/reconstruct.1").read_text(), self.printed("--man"))
        self.assertEqual(json.loads(call(usr / "bin/reconstruct", "--version", "--json").stdout),
                         json.loads(self.printed("--version", "--json")))


class Facility(unittest.TestCase):
    """The files for clusters and package managers that can be checked without them."""

    def test_recipes_are_what_their_programs_read(self):
        version = json.loads(call(PROGRAM, "--version", "--json").stdout)["version"]
        for path in FACILITY.glob("spack/packages/*/package.py"):
            names = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)}
            self.assertEqual(names, {path.parent.name.capitalize()})  # Spack finds the class by the folder's name
        self.assertIn(f'version("{version}")', (FACILITY / "spack/packages/reconstruct/package.py").read_text())
        easyconfig, = FACILITY.glob("*.eb")
        values = {"SYSTEM": {}}
        exec(compile(easyconfig.read_text(), easyconfig, "exec"), values)
        suffix = values["versionsuffix"].replace("%(cudaver)s", dict(row[:2] for row in values["dependencies"])["CUDA"])
        chain = values["toolchain"]
        self.assertEqual(easyconfig.name, f"{values['name']}-{version}-{chain['name']}-{chain['version']}{suffix}.eb")
        self.assertEqual(values["version"], version)

    def test_scripts_within_are_shell(self):
        for path in (FACILITY / "reconstruct.sbatch",):
            self.assertEqual(call("bash", "-n", path).stderr, "")
        sections = re.split(r"^%", (FACILITY / "reconstruct.def").read_text(), flags=re.M)[1:]
        names = [section.split()[0] for section in sections]
        self.assertEqual(names, ["files", "post", "files", "post", "runscript", "test"])
        for section in sections:
            if not section.startswith("files"):
                body = section.split("\n", 1)[1].split("Bootstrap:")[0]
                self.assertEqual(call("sh", "-n", input=body).stderr, "")

    def test_the_image_has_what_the_program_is_linked_with(self):
        if not shutil.which("dpkg-query"):
            self.skipTest("the image is Debian's")
        packages = re.findall(r"libopenblas\S+|libkissfft\S+", (FACILITY / "reconstruct.def").read_text())
        self.assertEqual(len(packages), 2)
        files = "".join(call("dpkg-query", "--listfiles", package).stdout for package in packages)
        for library in re.findall(r"(lib(?:openblas|kissfft)\S+) =>", call("ldd", PROGRAM).stdout):
            self.assertIn(library.split("-float")[0], files)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    PROGRAM = str(Path(sys.argv.pop()).resolve())
    unittest.main()
