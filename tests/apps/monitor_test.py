#!/usr/bin/env python3
"""What a run tells before it begins and while it goes on.

    python3 tests/apps/monitor_test.py path/to/reconstruct

Checks: train --dry-run (every missing file, contrast with its evidence, plans, nothing written); warnings on data made
to trigger them, on stderr, as JSON, in status.json, events.jsonl and summary.json; who and where in status.json; that
the README of apps/ names every field that is written.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

PROGRAM = ""
ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "data" / "one_bond.json"
SMALL = ["--layers", "2", "--width", "16", "--threads", "1"]
SEARCH = ["--subdivisions", "2", "--keep", "4", "--macro-batch", "25"]


def call(*arguments, **options):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


class Monitor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name)
        made = call("simulate", MODEL, "-o", cls.path / "data", "--images", 100, "--box", 16, "--shift-extent", 1,
                    "--snr", 1, "--ctf")
        assert made.returncode == 0, made.stderr
        cls.star = cls.path / "data" / "particles.star"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def expect(self, code, *arguments, **options):
        done = call(*arguments, **options)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done

    def dry_run(self, *more, star=None):
        done = self.expect(0, "train", star or self.star, "-o", self.path / "dry", "--dry-run", "--json", *SMALL, *more)
        self.assertFalse((self.path / "dry").exists())
        return lines(done.stdout)[-1]

    def test_a_dry_run_tells_what_the_files_hold_and_what_the_run_will_take(self):
        told = self.dry_run("--epochs", 3, *SEARCH)
        self.assertEqual([told[k] for k in ("images", "box_px", "optics_groups", "stacks")], [100, 16, 1, 1])
        low, high = told["ctf"]["defocus_angstrom"]
        self.assertTrue(9000 < low < high < 31000, told["ctf"])
        self.assertEqual(told["ctf"]["voltage_kv"], [300, 300])
        for group, keys in {"memory": ("peak_mib", "host_mib", "pinned_mib"), "disk": ("needed_mib", "free_mib"),
                            "time": ("estimate_s",)}.items():
            for key in keys:
                self.assertGreaterEqual(told[group][key], 0, key)
        self.assertEqual(sum(part["image_passes"] for part in told["time"]["parts"]), 300)
        self.assertEqual(told["warnings"], [])

    def test_the_contrast_is_measured_and_the_ctf_taken_into_account(self):
        for options, sign in (((), "positive"), (("--invert",), "negative"), (("--ctf", "none"), "negative"),
                              (("--ctf", "none", "--invert"), "positive"), (("--ctf", "phase-flip"), "positive")):
            told = self.dry_run(*options, "--epochs", 2, *SEARCH)
            self.assertEqual(told["contrast"]["density_would_be"], sign, options)
            self.assertEqual(len(told["warnings"]), sign == "negative", options)
            self.assertIn("darker than the rim", told["contrast"]["evidence"])

    def test_every_missing_file_is_named(self):
        star = self.path / "data" / "gone.star"
        rows = self.star.read_text().splitlines()
        count = 0
        for i, row in enumerate(rows):
            if "@particles.mrcs" in row and count < 60:
                rows[i] = row.replace("particles.mrcs", f"far/gone_{count:02}.mrcs")
                count += 1
        star.write_text("\n".join(rows) + "\n")
        names = {f"far/gone_{i:02}.mrcs" for i in range(60)}
        train = ["train", star, "-o", self.path / "dry", "--dry-run"]
        done = self.expect(66, *train, "--json")
        told = lines(done.stdout)
        self.assertEqual(told[0]["event"], "missing_files")
        self.assertEqual((told[0]["count"], set(told[0]["files"])), (60, names))
        self.assertEqual(told[-1]["exit_code"], 66)
        done = self.expect(66, *train)
        self.assertEqual(set(done.stdout.splitlines()[1:]), names)
        self.assertIn("60 of 61", done.stderr)
        self.assertLess(len(done.stderr), 1000)

    def test_warnings_reach_people_and_machines(self):
        run = self.path / "inverted"
        arguments = ["train", self.star, "-o", run, "--poses", "given", "--epochs", 5, "--lr", 1e-12, "--invert", *SMALL]
        done = self.expect(0, *arguments, "--json", env={**os.environ, "SLURM_JOB_ID": "4711"})
        told = {line["kind"]: line["message"] for line in lines(done.stdout) if line["event"] == "warning"}
        self.assertEqual(set(told), {"contrast", "loss"})
        self.assertIn("--invert", told["contrast"])
        self.assertIn("--lr", told["loss"])
        status = json.loads((run / "status.json").read_text())
        summary = json.loads((run / "summary.json").read_text())
        events = lines((run / "events.jsonl").read_text())
        listed = [{"kind": kind, "text": text} for kind, text in told.items()]
        self.assertEqual(status["warnings"], listed)
        self.assertEqual(summary["warnings"], listed)
        self.assertEqual([{k: e[k] for k in ("kind", "text")} for e in events if e["event"] == "warning"], listed)
        self.assertEqual((status["state"], status["slurm_job_id"], status["host"]), ("finished", "4711", os.uname().nodename))
        plain = self.expect(0, *arguments[:3], self.path / "plain", *arguments[4:]).stderr.splitlines()
        for text in told.values():
            self.assertIn("warning: " + text, plain)

    def test_the_readme_names_all_that_is_written(self):
        run = self.path / "named"
        self.expect(0, "train", self.star, "-o", run, "--epochs", 3, "--starts", 2, "--race-epochs", 1, "--half-maps",
                    "--shift-extent", 1, *SEARCH, *SMALL, env={**os.environ, "SLURM_RESTART_COUNT": "1"})
        readme = (ROOT / "apps" / "README.md").read_text()
        objects = [json.loads((run / name).read_text()) for name in ("status.json", "summary.json")]
        objects += lines((run / "events.jsonl").read_text())
        objects += [objects[1]["pose_search"], next(one["search"][0] for one in objects if "search" in one)]
        for one in objects:
            for key in one:
                self.assertIn(f"`{key}`", readme)
        self.assertEqual({one["event"] for one in objects if "event" in one},
                         {"start", "epoch", "race", "warning", "finished"})  # two starts of one epoch do not agree
        for path in run.rglob("*"):
            if path.is_file() and path.parent.name != "checkpoints":
                self.assertIn(path.relative_to(run).as_posix(), readme)

    def test_the_slurm_script_stops_in_time_and_queues_itself_again(self):
        tools = self.path / "bin"
        tools.mkdir()
        (tools / "reconstruct").symlink_to(PROGRAM)
        (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tools}/scontrol.log\n')
        (tools / "scontrol").chmod(0o755)
        run = self.path / "slurm"
        script = [ROOT / "apps" / "facility" / "reconstruct.sbatch", self.star, "-o", run, "--epochs", 12, *SEARCH,
                  *SMALL[:-2]]
        environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_ID": "12",
                       "SLURM_CPUS_PER_TASK": "1"}
        job = subprocess.Popen(list(map(str, script)), env=environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        while not (run / "events.jsonl").exists() or '"start"' not in (run / "events.jsonl").read_text():
            time.sleep(0.01)
            self.assertIsNone(job.poll())
        job.send_signal(signal.SIGUSR1)
        self.assertEqual(job.wait(60), 75)
        self.assertEqual((tools / "scontrol.log").read_text(), "requeue 12\n")
        self.assertEqual(json.loads((run / "status.json").read_text())["state"], "stopped")
        done = subprocess.run(list(map(str, script)), env=environment, capture_output=True, timeout=100)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((tools / "scontrol.log").read_text(), "requeue 12\n")
        self.assertTrue((run / "summary.json").exists())

    def test_a_healthy_run_warns_of_nothing(self):
        run = self.path / "healthy"
        done = self.expect(0, "train", self.star, "-o", run, "--poses", "given", "--epochs", 6, "--lr", 1e-3,
                           "--half-maps", *SMALL)
        self.assertNotIn("warning", done.stderr)
        self.assertEqual(json.loads((run / "summary.json").read_text())["warnings"], [])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    PROGRAM = str(Path(sys.argv.pop()).resolve())
    unittest.main()
