#!/usr/bin/env python3
"""The manual page, completion in shells, doctor, and what cmake --install puts where.

    python3 tests/apps/shell_test.py path/to/reconstruct

Completion is tried in bash; in zsh and fish, and the page with groff and mandoc, where those are installed.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = ""


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


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    PROGRAM = str(Path(sys.argv.pop()).resolve())
    unittest.main()
