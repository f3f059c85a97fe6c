#!/usr/bin/env python3
"""The command line as users and job scripts meet it.

    python3 tests/apps/cli_test.py path/to/reconstruct

Checks: help fits a screen; exit codes; JSON; a stopped run, a run killed at random moments, and an untouched run end
with the same bits, as do runs with 1 and 2 threads. Needs nothing but the standard library. The moments of the kills
come from RECON_TEST_SEED (printed), so that a failure can be repeated.
"""

import array
import json
import os
import random
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
MODEL = ROOT / "data" / "one_bond.json"
SEED = int(os.environ.get("RECON_TEST_SEED") or random.randrange(1 << 30))
KILLS = 20
SMALL = ["--layers", "2", "--width", "16", "--subdivisions", "2", "--keep", "4", "--macro-batch", "25", "--epochs", "4"]
SEARCH = ("--subdivisions", "--keep", "--macro-batch")  # idle, and refused, with --poses given
COMMANDS = ["", "simulate", "train", "volumes", "analyze", "encode", "backproject", "compare", "compare fsc",
            "compare poses", "compare structures", "compare latents", "info", "validate", "select", "convert",
            "downsample", "mask", "export", "bench", "doctor", "relion-external"]


def call(*arguments, **options):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=300, **options)


def read_npy(path):
    """The numbers of a .npy file of floats, flat."""
    data = Path(path).read_bytes()
    start = 10 + int.from_bytes(data[8:10], "little")
    kind = "f" if b"'<f4'" in data[:start] else "d"
    return list(array.array(kind, data[start:]))


def results(run):
    """What a run's numbers end in: the tensors of its newest checkpoint (names, shapes, bytes), poses and volumes."""
    newest = max((Path(run) / "checkpoints").glob("ckpt-*.safetensors"))
    data = newest.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__")  # holds the time spent
    out = {"name": newest.name, "header": header, "tensors": data[8 + length:]}
    for path in sorted(Path(run).rglob("*")):
        if path.suffix in (".mrc", ".npy", ".star"):
            out[path.relative_to(run).as_posix()] = path.read_bytes()
    return out


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name)
        made = call("simulate", MODEL, "-o", cls.path / "data", "--images", 200, "--shift-extent", 2, "--snr", 1,
                    "--ctf", "--states", 2)
        assert made.returncode == 0, made.stderr
        cls.stack = cls.path / "data" / "particles.mrcs"
        cls.star = cls.path / "data" / "particles.star"
        cls.truth = cls.path / "data" / "truth"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def expect(self, code, *arguments):
        done = call(*arguments)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        if code != 0:
            self.assertIn("reconstruct: ", done.stderr)
        return done

    def train(self, run, *more, searched=True):
        """A small run; what stands in `more` goes before the small sizes."""
        small = [x for name, value in zip(SMALL[::2], SMALL[1::2])
                 if name not in more and (searched or name not in SEARCH) for x in (name, value)]
        return ["train", self.star, "-o", run, *small, *more]

    def start(self, arguments, **options):
        return subprocess.Popen([PROGRAM, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                text=True, **options)

    def test_every_help_fits_a_screen(self):
        for command in COMMANDS:
            done = self.expect(0, *command.split(), "--help")
            lines = done.stdout.splitlines()
            self.assertLessEqual(len(lines), 45, command)
            for line in lines:
                self.assertLessEqual(len(line), 100, f"{command}: {line}")
        self.assertIn("--band-min", self.expect(0, "train", "--help-all").stdout)

    def test_usage_errors_are_64(self):
        x = self.path / "not-made"
        cases = [[], ["frobnicate"], ["train"], ["train", self.star], self.train(x, "--epocs", 3),
                 self.train(x, "--lr", "nan"), self.train(x, "--batch", 0), self.train(x, "--batch", "1.5"),
                 self.train(x, "--poses", "guess"), self.train(x, "--device", "tpu"),
                 self.train(x, "--latent", "table"), self.train(x, "--refine-epochs", 2),
                 self.train(x, "--poses", "given"), self.train(x, "--half-maps", "--zdim", 1),
                 self.train(x, "--sweep", 3), self.train(x, "--preset", "motion", "--zdim", 0, "--latent-lr", 1),
                 self.train(x, "--zdim", 1, "--latent-start", 2), self.train(x, "--no-window", "--window-inner", 0.5),
                 self.train(x, "--window-inner", 1.5), ["backproject", self.star, "-o", x, "--window-inner", 0.5],
                 self.train(x, "--zdim", 1, "--latent-lr", 1), self.train(x, "--latents", "z.npy"),
                 self.train(x, "--zdim", 1, "--latents", "z.npy"), self.train(x, "--encoding-sigma", 1),
                 self.train(x, "--zdim", 1, "--latent", "table", "--encoder-width", 8),
                 self.train(x, "--zdim", 1, "--latent", "table", "--latents", "z.npy", "--latent-init", "linear"),
                 self.train(x, "--zdim", 1, "--latent", "table", "--latents", "z.npy", "--latent-start", 2),
                 self.train(x, "--zdim", 1, "--latent", "table", "--latent-init", "linear"),
                 self.train(x, "--zdim", 1, "--source", "exact", "--bound", "noise"), self.train(x, "--bound", "some"),
                 self.train(x, "--polish", 1), self.train(x, "--zdim", 1, "--search-epochs", 2, "--polish", 1),
                 self.train(x, "--epochs", 3, "--search-epochs", 2, "--polish", 1),
                 ["simulate", MODEL, "-o", x, "--pdb-sigma", 2], ["compare", "fsc", "one.mrc"], ["compare"],
                 ["simulate", MODEL, "-o", x, "--box", 31], ["volumes", x, "-o", x, "--z", "1", "--sweep", 3],
                 ["volumes", x, "-o", x, "--images", "1,2", "--kmeans", 3],
                 ["volumes", x, "-o", x, "--images", "1.5"], ["analyze", x, "--kmeans", 0],
                 ["analyze", x, "--no-umap", "--neighbours", 9], ["compare", "structures", x],
                 ["compare", "structures", x, x, "--images", 0]]
        for case in cases:
            self.expect(64, *case)
        self.assertFalse(x.exists())

    def test_bad_data_is_65_and_missing_input_66(self):
        x = self.path / "not-made"
        text = self.path / "text.mrcs"
        text.write_text("not an image\n")
        broken = self.path / "data" / "broken.star"
        broken.write_text(self.star.read_text().replace("000199@", "999999@"))
        cut = self.path / "cut.mrcs"
        cut.write_bytes(self.stack.read_bytes()[:-1])
        notmodel = self.path / "model.json"
        notmodel.write_text('{"box": 32}')
        for case in (["train", text, "-o", x], ["train", broken, "-o", x], ["validate", broken],
                     ["validate", cut], ["info", text], ["simulate", notmodel, "-o", x],
                     ["backproject", self.stack, "-o", x], ["compare", "poses", self.stack, self.star],
                     ["train", self.stack, "-o", x, "--poses", "given", "--dry-run"]):
            self.expect(65, *case)
        for case in (["train", "absent.star", "-o", x], ["info", "absent"], ["volumes", self.path, "-o", x],
                     ["analyze", self.path], ["compare", "fsc", "a.mrc", "b.mrc"]):
            self.expect(66, *case)
        for name in ("model.json", "text.mrcs"):
            self.assertIn(name, self.expect(65, "validate", self.path / name).stderr)

    def test_cuda_is_71_without_a_cuda_backend(self):
        if "cuda" in json.loads(self.expect(0, "--version", "--json").stdout)["backends"]:
            self.skipTest("this build has a CUDA backend")
        for device in ("cuda", "cuda:0"):
            self.assertIn("--device cpu", self.expect(71, *self.train(self.path / "x", "--device", device)).stderr)

    def test_a_folder_in_use_or_of_another_run_is_73(self):
        run = self.path / "busy"
        first = self.start(self.train(run, "--width", 256))
        while not (run / "config.json").exists():
            time.sleep(0.01)
            self.assertIsNone(first.poll())
        self.assertIn(str(first.pid), self.expect(73, *self.train(run, "--width", 256)).stderr)
        first.kill()
        first.communicate()
        self.assertIn("decoder_width", self.expect(73, *self.train(run, "--width", 17)).stderr)
        self.expect(73, *self.train("/dev/null/run"))

    def test_json_is_one_object_a_line(self):
        out = self.path / "json"
        commands = [["doctor"], ["--version"], ["info", self.star], ["info", self.stack], ["validate", self.star],
                    ["backproject", self.star, "-o", out / "b"], self.train(out / "r"),
                    self.train(out / "d", "--dry-run"),
                    ["volumes", out / "r", "-o", out / "v"], ["analyze", out / "r"], ["info", out / "r"],
                    ["compare", "poses", out / "r" / "poses.star", self.truth / "poses.star"],
                    ["compare", "fsc", out / "b" / "backproject.mrc", self.truth / "state_000.mrc"],
                    ["compare", "latents", self.truth / "states.npy", self.truth / "states.npy"]]
        for command in commands:
            for line in self.expect(0, *command, "--json").stdout.splitlines():
                self.assertIsInstance(json.loads(line), dict, command)
        failed = json.loads(call("info", "absent", "--json").stdout)
        self.assertEqual(failed["exit_code"], 66)

    def test_numbers_mean_what_they_say(self):
        out = self.path / "numbers"
        self.expect(0, "backproject", self.star, "-o", out, "--json")
        maps = [out / "backproject.mrc", self.truth / "state_000.mrc"]
        fsc = json.loads(self.expect(0, "compare", "fsc", *maps, "--json").stdout)
        self.assertGreater(fsc["fsc"][2], 0.8)
        same = json.loads(self.expect(0, "compare", "fsc", maps[1], maps[1], "--json").stdout)
        self.assertGreater(same["mean_fsc"], 0.9999)
        poses = json.loads(self.expect(0, "compare", "poses", self.star, self.truth / "poses.star", "--json").stdout)
        self.assertLess(poses["rotation_error_degrees_median"], 1e-3)
        states = self.truth / "states.npy"
        order = json.loads(self.expect(0, "compare", "latents", states, states, "--json").stdout)
        self.assertGreater(order["spearman_first_component"], 0.999)

    def test_bench_tells_figures_and_compares_them_with_earlier_ones(self):
        old = self.path / "bench.json"
        quick = ["--seconds", 0, "--box", "16,20", "--device", "cpu"]
        table = self.expect(0, "bench", "Hartley", *quick, "-o", old).stdout
        rows = json.loads(old.read_text())["rows"]
        self.assertEqual([row["shape"] for row in rows], ["16 px, batch 10", "20 px, batch 10"])
        for row in rows:
            self.assertLess(row["error"], row["tolerance"])
            self.assertGreater(row["median_s"], 0)
        self.assertEqual(table.count("| real FFT |"), 2)
        self.assertEqual(self.expect(0, "bench", "Hartley", *quick, "--compare", old).stdout.count(" x |"), 2)
        self.expect(64, "bench", "no such operation", *quick)
        self.expect(64, "bench", "--width", 0)
        self.expect(64, "bench", "--box", 15)
        self.expect(73, "bench", "Hartley", *quick, "-o", self.path / "absent" / "bench.json")
        self.expect(66, "bench", "--compare", self.path / "absent.json")
        self.assertIn("bench -o", self.expect(65, "bench", "--compare", MODEL).stderr)

    def test_a_preset_sets_defaults_and_options_overrule_it(self):
        def latent_dimensions(*options):
            done = self.expect(0, "train", self.star, "-o", self.path / "not-made", "--dry-run", "--json", *options)
            return json.loads(done.stdout.splitlines()[-1])["zdim"]
        self.assertEqual([latent_dimensions(), latent_dimensions("--preset", "fast"),
                          latent_dimensions("--preset=motion"), latent_dimensions("--preset", "motion", "--zdim", 3)],
                         [0, 0, 1, 3])

    def known_states(self):
        """A run whose latents are the true states and stay so."""
        run = self.path / "known"
        if not run.exists():
            self.expect(0, *self.train(run, "--poses", "given", "--zdim", 1, "--latent", "table", "--latents",
                                       self.truth / "states.npy", "--latent-lr", 0, searched=False))
        return run

    def test_latents_that_are_given_stay_at_learning_rate_0(self):
        run = self.known_states()
        self.assertEqual(read_npy(run / "z.npy"), read_npy(self.truth / "states.npy"))
        given = ["--poses", "given", "--zdim", 1, "--latent", "table", "--latents"]
        other = shutil.copy(self.truth / "states.npy", self.path / "other.npy")
        self.assertIn("latents", self.expect(73, *self.train(run, *given, other, "--latent-lr", 0,
                                                             searched=False)).stderr)
        x = self.path / "not-made"
        few = self.path / "few.npy"
        few.write_bytes((run / "z.npy").read_bytes().replace(b"(200, 1)", b"(199, 1)")[:-4])
        for file, code, word in ((few, 65, "199 rows"), (self.path / "absent.npy", 66, "absent.npy")):
            self.assertIn(word, self.expect(code, *self.train(x, *given, file, searched=False)).stderr)
        self.assertIn("rows of 2", self.expect(65, *self.train(x, "--poses", "given", "--zdim", 2, "--latent", "table",
                                                               "--latents", other, searched=False)).stderr)
        self.assertFalse(x.exists())

    def test_volumes_of_images_are_those_at_the_images_z(self):
        table, encoder = self.known_states(), self.path / "encoder"
        self.expect(0, *self.train(encoder, "--poses", "given", "--zdim", 2, "--encoder-layers", 1, "--encoder-width",
                                   8, searched=False))
        for run, width in ((table, 1), (encoder, 2)):
            z = read_npy(run / "z.npy")
            out = [self.path / f"{run.name}-volumes-{i}" for i in range(2)]
            self.expect(0, "volumes", run, "-o", out[0], "--images", "200,7")
            rows = self.path / "rows.txt"
            rows.write_text("".join(" ".join(map(repr, z[width * i:width * (i + 1)])) + "\n" for i in (199, 6)))
            self.expect(0, "volumes", run, "-o", out[1], "--z-file", rows)
            for name in ("vol_000.mrc", "vol_001.mrc", "z_values.npy"):
                self.assertEqual((out[0] / name).read_bytes(), (out[1] / name).read_bytes(), name)
            for number in (0, 201):
                self.assertIn(f"{number} is not one of the run's images, 1 to 200",
                              self.expect(64, "volumes", run, "-o", out[0], "--images", f"3,{number}").stderr)

    def test_analyze_finds_clusters_and_makes_a_volume_of_each(self):
        run, out = self.known_states(), self.path / "analysis"
        done = json.loads(self.expect(0, "analyze", run, "-o", out, "--kmeans", 2, "--steps", 3, "--json").stdout
                          .splitlines()[-1])
        states, labels = read_npy(run / "z.npy"), (out / "labels.npy").read_bytes()[-4 * 200:]
        labels = list(array.array("i", labels))
        self.assertEqual({(s, label) for s, label in zip(states, labels)}, {(0, 0), (1, 1)})
        self.assertEqual(done["cluster_sizes"], [labels.count(0), labels.count(1)])
        for name, count in (("kmeans", 2), ("pc1", 3)):
            self.assertEqual(len(list((out / name).glob("vol_*.mrc"))), count)
        self.assertEqual(read_npy(out / "kmeans" / "z_values.npy"), [0, 1])
        self.assertIn("Did it work?", Path(done["report"]).read_text())
        self.assertIn("leave them out", self.expect(64, "analyze", run, "-o", out, "--path", "1,2").stderr)
        self.assertIn("absent.json", self.expect(66, "analyze", run, "-o", out, "--fsc", "absent.json").stderr)

    def test_structures_are_judged_at_the_true_state_of_each_image(self):
        run = self.known_states()
        command = ["compare", "structures", run, self.truth, "--json", "--images", 5]
        found = json.loads(self.expect(0, *command, "--against", run, "--mask", 14).stdout)
        states = read_npy(self.truth / "states.npy")
        self.assertEqual([states[image["image"] - 1] for image in found["by_image"]],
                         [image["state"] for image in found["by_image"]])
        self.assertEqual(sorted(image["state"] for image in found["by_image"]),
                         [image["state"] for image in found["by_image"]])
        self.assertEqual({image["state"] for image in found["by_image"]}, {0, 1})
        self.assertEqual(found["ratio_of_mean_resolutions_at_0.5"], 1)
        self.assertAlmostEqual(found["mean_resolution_px_at_0.5"],
                               sum(image["resolution_px_at_0.5"] for image in found["by_image"]) / 5)
        self.assertGreater(found["fsc"][1], 0.5)
        each = json.loads(self.expect(0, *command, "--align-each", "--mask", 14).stdout)
        self.assertGreater(each["mean_fsc"], found["mean_fsc"] - 1e-3)
        self.assertIn("states.npy", self.expect(66, "compare", "structures", run, self.path).stderr)
        self.expect(66, "compare", "structures", self.path, self.truth)

    def test_a_simulated_set_leaves_the_model_that_makes_it_again(self):
        again = self.path / "again"
        self.expect(0, "simulate", self.truth / "model.json", "-o", again, "--images", 200, "--shift-extent", 2,
                    "--snr", 1, "--ctf", "--states", 2)
        for name in ("particles.mrcs", "truth/state_001.mrc", "truth/model.json"):
            self.assertEqual((again / name).read_bytes(), (self.path / "data" / name).read_bytes(), name)
        self.expect(0, "simulate", self.truth / "state_000.mrc", "-o", again, "--images", 3)
        self.assertFalse((again / "truth" / "model.json").exists())

    def untouched(self):
        run = self.path / "untouched"
        if not run.exists():
            self.expect(0, *self.train(run, "--threads", 2))
        return results(run)

    def same(self, found, wanted):
        self.assertEqual(found.keys(), wanted.keys())
        for name in wanted:
            self.assertTrue(found[name] == wanted[name], f"{name} differs")

    def test_one_and_two_threads_give_the_same_bits(self):
        run = self.path / "one"
        self.expect(0, *self.train(run, "--threads", 1))
        self.same(results(run), self.untouched())

    def test_signals_stop_with_a_checkpoint_and_the_run_resumes(self):
        run = self.path / "stopped"
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            epochs = self.events(run).count('"epoch"')
            process = self.start(self.train(run, "--threads", 2))
            while process.poll() is None and self.events(run).count('"epoch"') == epochs:
                time.sleep(0.005)
            process.send_signal(number)
            process.communicate()
            self.assertIn(process.returncode, (75, 0))  # 0: it had finished
            if number == signal.SIGTERM:
                self.assertEqual(process.returncode, 75)
                self.assertTrue(list((run / "checkpoints").glob("*.safetensors")))
        self.expect(0, *self.train(run, "--threads", 2))
        self.same(results(run), self.untouched())
        self.assertIn("already finished", self.expect(0, *self.train(run)).stdout)

    def events(self, run):
        path = run / "events.jsonl"
        return path.read_text() if path.exists() else ""

    def test_a_second_interrupt_ends_at_once(self):
        process = self.start(self.train(self.path / "twice", "--width", 512, "--layers", 8, "--macro-batch", 200))
        while '"start"' not in self.events(self.path / "twice"):
            time.sleep(0.01)
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate()
        self.assertIn(process.returncode, (130, 75))  # 75: the batch ended between the two

    def test_kill_9_at_random_moments_loses_nothing(self):
        wanted = self.untouched()
        moments = random.Random(SEED)
        begin = time.monotonic()
        shutil.rmtree(self.path / "timed", ignore_errors=True)
        self.expect(0, *self.train(self.path / "timed", "--checkpoint-seconds", 0))
        whole = time.monotonic() - begin
        run, kills, rounds = self.path / "killed", 0, 0
        while kills < KILLS:
            process = self.start(self.train(run, "--threads", 2, "--checkpoint-seconds", 0))
            try:
                process.wait(timeout=moments.uniform(0, 0.7 * whole))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
            message = process.communicate()[1]
            self.assertIn(process.returncode, (0, -signal.SIGKILL), message)
            if process.returncode == 0:
                rounds += 1
                self.same(results(run), wanted)
                shutil.rmtree(run)
        self.expect(0, *self.train(run, "--threads", 2))
        self.same(results(run), wanted)
        print(f"kill -9: {kills} kills, {rounds + 1} runs ended, all with the bits of an untouched run; seed {SEED}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: cli_test.py path/to/reconstruct [unittest options]")
    PROGRAM = str(Path(sys.argv[1]).resolve())
    print(f"cli_test: seed {SEED} (RECON_TEST_SEED)")
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
