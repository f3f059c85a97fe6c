#!/usr/bin/env python3
"""What memory particle files of many rows take.

    python3 tests/apps/large_files_test.py path/to/reconstruct

A file of 400,000 rows, as bench/particle_file.py writes it, is more than is held in memory as text. What the program
takes beyond what a file of ten rows takes is counted by the system (the peak of the resident set), and is divided by the
number of rows: 10^7 of them must fit into 1 GB.
"""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = ""
WRITER = Path(__file__).resolve().parents[2] / "bench" / "particle_file.py"
ROWS = 400_000


def peak_bytes(*arguments):
    """Of one call, which must succeed."""
    child = subprocess.Popen([PROGRAM, *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise AssertionError(f"{arguments}: exit code {child.returncode}")
    return usage.ru_maxrss * 1024


def rows_of(path):
    with open(path) as file:
        return [line.split() for line in file if "@" in line]


class LargeFiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name)
        for name, rows in (("few", 10), ("many", ROWS)):
            subprocess.run([sys.executable, WRITER, cls.path / f"{name}.star", str(rows)], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def bytes_a_row(self, *arguments):
        few, many = (peak_bytes(*(str(a).format(name) for a in arguments)) for name in ("few", "many"))
        return (many - few) / ROWS

    def test_a_particle_file_is_loaded_in_less_than_100_bytes_a_row(self):
        self.assertLess(self.bytes_a_row("info", self.path / "{}.star"), 100)

    def test_it_is_written_with_other_poses_in_less_than_100_bytes_a_row_and_keeps_its_columns(self):
        out = self.path / "out_{}.star"
        self.assertLess(self.bytes_a_row("convert", self.path / "{}.star", "--poses", self.path / "{}.star",
                                         "--keep-names", "-o", out), 100)
        before, after = rows_of(self.path / "many.star"), rows_of(str(out).format("many"))
        self.assertEqual(len(after), ROWS)
        for old, new in zip(before, after):
            if old[:1] + old[6:] != new[:1] + new[6:] or any(
                    abs(float(a) - float(b)) > 2e-5 for a, b in zip(old[1:6], new[1:6])):
                self.fail(f"{old} became {new}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: large_files_test.py path/to/reconstruct [unittest options]")
    PROGRAM = str(Path(sys.argv[1]).resolve())
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
