#!/usr/bin/env python3
"""reconstruct as a RELION External job, scheduled and read back by RELION's own programs.

    python3 tests/apps/relion_test.py path/to/reconstruct

Needs Debian's relion (.ci/setup tests); skipped, saying so, where it is not installed.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

PROGRAM = ""
ROOT = Path(__file__).resolve().parents[2]
SMALL = {"layers": 2, "width": 16, "epochs": 4}
PIPELINE = "data_pipeline_general\n\n_rlnPipeLineJobCounter                       1\n\n"
SUCCEEDED = 2  # a process's status in RELION 3.1


@unittest.skipUnless(shutil.which("relion_pipeliner"), "Debian's package relion is not installed")
class Relion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.made = Path(cls.folder.name) / "made"
        subprocess.run([PROGRAM, "simulate", ROOT / "data" / "one_bond.json", "-o", cls.made, "--images", "100", "--box",
                        "32", "--snr", "1", "--ctf", "--shift-extent", "2"], check=True, capture_output=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        """A fresh project, with the particles in a job's folder as Extract leaves them: paths start at the project."""
        self.project = Path(tempfile.mkdtemp(dir=self.folder.name))
        job = self.project / "Extract" / "job000"
        job.mkdir(parents=True)
        shutil.copy(self.made / "particles.mrcs", job)
        (job / "job.star").write_text("data_job\n")
        for folder in (self.project, job):
            (folder / "default_pipeline.star").write_text(PIPELINE)
        text = (self.made / "particles.star").read_text()
        (job / "particles.star").write_text(text.replace("@particles.mrcs", "@Extract/job000/particles.mrcs"))
        self.particles = "Extract/job000/particles.star"
        self.job = self.project / "External" / "job001"

    def run_in_project(self, *command, code=0, **options):
        done = subprocess.run(list(map(str, command)), cwd=self.project, capture_output=True, text=True, timeout=60,
                              **options)
        self.assertEqual(done.returncode, code, f"{command}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def external(self, **labels):
        rest = [word for label, value in labels.items() for word in ("--" + label.replace("_", "-"), str(value))]
        return [PROGRAM, "relion-external", "--o", "External/job001/", "--in_parts", self.particles, "--j", "1", *rest]

    def ends(self):
        return sorted(path.name for path in self.job.glob("RELION_JOB_*"))

    def test_the_pipeline_schedules_runs_and_shows_a_job(self):
        labels = {"poses": "given", "half-maps": "", **SMALL}
        options = [f"fn_exe == {PROGRAM} relion-external", f"in_part == {self.particles}", "nr_threads == 1"]
        for number, (label, value) in enumerate(labels.items(), 1):
            options += [f"param{number}_label == {label}", f"param{number}_value == {value}"]
        self.run_in_project("relion_pipeliner", "--addJob", "External", "--addJobOptions", ";".join(options))
        self.run_in_project("relion_pipeliner", "--schedule", "test", "--RunJobs", "External/job001/",
                            "--sec_wait_after", 1)
        self.assertEqual(self.ends(), ["RELION_JOB_EXIT_SUCCESS"], (self.job / "run.err").read_text())
        # The nodes are taken in when the pipeline looks for finished jobs.
        self.run_in_project("relion_pipeliner", "--check_job_completion")
        pipeline = (self.project / "default_pipeline.star").read_text()
        self.assertRegex(pipeline, rf"External/job001/ +None +99 +{SUCCEEDED} ")
        for name, kind in (("poses.star", 3), ("volumes/volume.mrc", 6), ("reconstruct_half1_unfil.mrc", 10)):
            self.assertRegex(pipeline, rf"\nExternal/job001/{re.escape(name)} +{kind} ")
            self.assertRegex(pipeline, rf"\nExternal/job001/ External/job001/{re.escape(name)} ")
        self.read_back()

    def read_back(self):
        """RELION's programs read what the job wrote, from the project's folder."""
        poses = "External/job001/poses.star"
        self.run_in_project("relion_star_handler", "--i", poses, "--o", "copy.star", "--operate", "rlnAnglePsi",
                            "--multiply_by", 1)
        self.assertEqual((self.project / "copy.star").read_text().count("@Extract/job000/particles.mrcs"), 100)
        told = self.run_in_project("relion_image_handler", "--i", "External/job001/volumes/volume.mrc", "--stats")
        self.assertIn("32 x 32 x 32", told)
        self.run_in_project("relion_reconstruct", "--i", poses, "--o", "again.mrc", "--ctf")
        self.assertTrue((self.project / "again.mrc").exists())

    def test_an_abort_is_heeded_and_the_job_goes_on_from_its_checkpoint(self):
        command = self.external(subdivisions=2, macro_batch=20, **{**SMALL, "epochs": 40})
        job = subprocess.Popen(command, cwd=self.project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while not list(self.job.glob("checkpoints/*")):
            time.sleep(0.01)
            self.assertIsNone(job.poll(), job.stderr)
        (self.job / "RELION_JOB_ABORT_NOW").touch()
        message = job.communicate(timeout=30)[1]
        self.assertEqual(job.returncode, 75, message)
        self.assertEqual(self.ends(), ["RELION_JOB_EXIT_ABORTED"])
        events = (self.job / "events.jsonl").read_text()
        self.assertIn('"stopped"', events)
        job = subprocess.Popen(command, cwd=self.project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while '"resume"' not in (self.job / "events.jsonl").read_text():
            time.sleep(0.01)
            self.assertIsNone(job.poll())
        self.assertEqual(self.ends(), [])  # it runs again
        job.send_signal(signal.SIGTERM)
        self.assertIn(job.wait(30), (0, 75))
        self.assertIn(self.ends(), (["RELION_JOB_EXIT_ABORTED"], ["RELION_JOB_EXIT_SUCCESS"]))

    def test_failures_are_told_to_the_pipeline(self):
        for labels, code in (({"zdim": "many"}, 64), ({"zdims": 1}, 64), ({"in_3dref": "x.mrc"}, 64)):
            self.run_in_project(*self.external(**SMALL), *[w for k, v in labels.items() for w in (f"--{k}", str(v))],
                                code=code)
            self.assertEqual(self.ends(), ["RELION_JOB_EXIT_FAILURE"], labels)
        self.run_in_project(*self.external(**SMALL), "--in_mask", "mask.mrc", code=64)
        self.particles = "absent.star"
        self.run_in_project(*self.external(**SMALL), code=66)
        self.assertEqual(self.ends(), ["RELION_JOB_EXIT_FAILURE"])

    def test_half_maps_are_compared_within_a_mask(self):
        self.run_in_project("relion_mask_create", "--i", self.made / "truth" / "state_000.mrc", "--o", "mask.mrc",
                            "--ini_threshold", 0.01, "--width_soft_edge", 3)
        self.run_in_project(*self.external(poses="given", **SMALL), "--half-maps", "--in_mask", "mask.mrc")
        (self.project / "post").mkdir()
        fsc = json.loads((self.job / "fsc_half_maps_masked.json").read_text())["fsc"]
        self.run_in_project("relion_postprocess", "--i", "External/job001/reconstruct_half1_unfil.mrc", "--o", "post/map",
                            "--angpix", 3, "--mask", "mask.mrc")
        text = (self.project / "post" / "map.star").read_text().split("data_fsc")[1].split("data_")[0]
        rows = [line.split() for line in text.splitlines() if re.match(r" +\d", line)]
        column = int(re.search(r"_rlnFourierShellCorrelationMaskedMaps #(\d+)", text).group(1)) - 1
        theirs = [float(row[column]) for row in rows]
        self.assertGreater(min(fsc[3:12]), 0.4)
        for ours, other in zip(fsc[1:12], theirs[2:13]):  # RELION also takes out the mean within the mask
            self.assertAlmostEqual(ours, other, delta=0.05)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    PROGRAM = str(Path(sys.argv.pop()).resolve())
    unittest.main()
