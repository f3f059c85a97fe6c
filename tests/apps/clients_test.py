#!/usr/bin/env python3
"""What the program writes, read by the Python clients of the field: starfile, mrcfile, gemmi, safetensors, cryoDRGN.

    python3 tests/apps/clients_test.py path/to/reconstruct

.ci/setup tests installs them; what is not there is skipped, saying so.
"""

import argparse
import contextlib
import importlib
import io
import json
import logging
import os
import pickle
import sys
import tempfile
import unittest
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True  # of the module beside this one

import formats_test as formats
import mrcfile
import numpy as np
from formats_test import MODEL, ROOT, call, numbers, read_mrc, relion_matrix, result, star_columns

sys.path.insert(1, str(ROOT / "build" / "clients"))
BOX, IMAGES, EPOCHS = 32, 80, 2
SMALL = ["--layers", 1, "--width", 8, "--epochs", EPOCHS]
CRYODRGN = ("cryodrgn", "torch", "pandas", "sklearn", "seaborn", "igraph", "nbformat", "yaml", "umap")
UTILS = "commands_utils"  # cryoDRGN's folder of what cryodrgn_utils calls


def needs(*modules):
    missing = [name for name in modules if find_spec(name) is None]
    return unittest.skipIf(missing, f"{' and '.join(missing)} not installed: .ci/setup tests does it")


def setUpModule():
    """A set with CTF and shifts; a run with an encoder and one with a table of latents, and the first one's export."""
    global FOLDER, PATH, DATA, RUN, TABLE, EXPORT, THEN
    FOLDER = tempfile.TemporaryDirectory()
    PATH = Path(FOLDER.name)
    DATA, RUN, TABLE, EXPORT = (PATH / name for name in ("data", "run", "table", "export"))
    os.environ["MPLCONFIGDIR"] = str(PATH / "matplotlib")
    call("simulate", MODEL, "-o", DATA, "--images", IMAGES, "--box", BOX, "--shift-extent", 2, "--snr", 1, "--ctf",
         "--states", 4)
    stars = [DATA / "particles.star", "--poses", "given", "--zdim", 3]
    call("train", *stars, "-o", RUN, *SMALL, "--encoder-layers", 1, "--encoder-width", 8)
    call("train", *stars, "-o", TABLE, *SMALL, "--latent", "table")
    THEN = result("export", RUN, "--cryodrgn", "-o", EXPORT)["then"]


def tearDownModule():
    FOLDER.cleanup()


def poses_of(path):
    columns = star_columns(path)
    return (relion_matrix(numbers(columns, "_rlnAngleRot", "_rlnAngleTilt", "_rlnAnglePsi")),
            numbers(columns, "_rlnOriginXAngst", "_rlnOriginYAngst"))


@needs("starfile", "pandas")
class Starfile(unittest.TestCase):
    def test_poses_star_has_the_input_s_columns_with_their_values(self):
        import starfile
        before, after = starfile.read(DATA / "particles.star"), starfile.read(RUN / "poses.star")
        self.assertEqual(list(after), ["optics", "particles"])
        self.assertTrue(after["optics"].equals(before["optics"]))
        self.assertEqual(list(after["particles"]), list(before["particles"]))
        self.assertEqual(len(after["particles"]), IMAGES)
        for name in before["particles"]:
            old, new = before["particles"][name], after["particles"][name]
            if name == "rlnImageName":  # now to be found from the run's folder
                for left, right in zip(old, new):
                    (i, stack), (j, moved) = left.split("@"), right.split("@")
                    self.assertEqual(i, j)
                    self.assertTrue((RUN / moved).samefile(DATA / stack))
            elif name.startswith(("rlnAngle", "rlnOrigin")):
                np.testing.assert_allclose(new, old, atol=2e-6 if name.startswith("rlnOrigin") else 1e-4)
            else:
                self.assertTrue(new.equals(old), name)

    def test_what_starfile_writes_is_selected_with_every_column_and_read_back(self):
        import pandas
        import starfile
        tables = starfile.read(DATA / "particles.star")
        rows = tables["particles"]
        rows["rlnImageName"] = [name.replace("@", f"@{DATA}/") for name in rows["rlnImageName"]]
        rows["rlnMicrographName"] = [f"a folder/micrograph {i}.mrc" for i in range(IMAGES)]  # quoted, with its spaces
        rows["labOwnScore"] = np.random.default_rng(0).normal(size=IMAGES)
        rows["rlnClassNumber"] = np.arange(IMAGES) % 3
        written, chosen = PATH / "by_starfile.star", PATH / "chosen.star"
        if not hasattr(pandas.DataFrame, "map"):
            pandas.DataFrame.map = pandas.DataFrame.applymap  # as Debian 12's pandas still names it
        starfile.write(tables, written)
        call("select", written, "-o", chosen, "--range", "_labOwnScore", -0.5, 0.5)
        before, after = starfile.read(written), starfile.read(chosen)
        inside = before["particles"]["labOwnScore"].between(-0.5, 0.5)
        self.assertTrue(0 < inside.sum() < IMAGES)
        pandas.testing.assert_frame_equal(after["optics"], before["optics"])
        before, after = before["particles"][inside].reset_index(drop=True), after["particles"]
        poses = [name for name in before if name.startswith(("rlnAngle", "rlnOrigin"))]  # six digits after the point
        np.testing.assert_allclose(after[poses], before[poses], atol=1e-6)
        pandas.testing.assert_frame_equal(after.drop(columns=poses), before.drop(columns=poses), check_exact=True)
        self.assertEqual(list(after), list(before))

    def test_latents_of_a_selection_are_columns(self):
        import starfile
        out = PATH / "latents.star"
        call("select", RUN, "-o", out, "--images", "7,3,50")
        found, before = starfile.read(out)["particles"], starfile.read(RUN / "poses.star")["particles"]
        self.assertEqual(list(found), [*before, "cdrgnZ1", "cdrgnZ2", "cdrgnZ3"])
        np.testing.assert_allclose(found[["cdrgnZ1", "cdrgnZ2", "cdrgnZ3"]], np.load(RUN / "z.npy")[[2, 6, 49]],
                                   rtol=1e-6)
        np.testing.assert_array_equal(found["rlnDefocusU"], before["rlnDefocusU"][[2, 6, 49]])


class Mrcfile(unittest.TestCase):
    def test_maps_and_stacks_of_every_command_are_valid(self):
        out, star, truth = PATH / "maps", DATA / "particles.star", DATA / "truth" / "state_000.mrc"
        call("train", star, "-o", out / "halves", "--poses", "given", *SMALL, "--half-maps")
        call("backproject", star, "-o", out / "backproject")
        call("analyze", RUN, "-o", out / "analysis", "--kmeans", 2, "--steps", 2, "--no-umap")
        call("volumes", TABLE, "-o", out / "volumes", "--sweep", 2)
        call("convert", star, "-o", out / "stack.mrcs", "--invert")
        call("convert", truth, "-o", out / "other_hand.mrc", "--flip-hand")
        call("downsample", star, "-o", out / "small.mrcs", "--box", 16)
        call("downsample", truth, "-o", out / "small.mrc", "--box", 16)
        call("mask", truth, "-o", out / "mask.mrc")
        call("compare", "fsc", truth, out / "backproject" / "backproject.mrc", "--align-poses", star, star, "--aligned",
             out / "aligned.mrc")
        written = [*PATH.rglob("*.mrc"), *PATH.rglob("*.mrcs")]
        for part in ("halves/volumes/half_map_1.mrc", "backproject/backproject.mrc", "analysis/kmeans/vol_000.mrc",
                     "analysis/pc1/vol_001.mrc", "analysis/path/vol_000.mrc", "volumes/vol_001.mrc", "aligned.mrc"):
            self.assertIn(out / part, written)
        for path in written:
            told = io.StringIO()
            self.assertTrue(mrcfile.validate(path, print_file=told), f"{path}: {told.getvalue()}")


@needs("gemmi")
class Gemmi(unittest.TestCase):
    def test_a_star_file_is_cif_s_syntax(self):
        import gemmi
        for path in (RUN / "poses.star", EXPORT / "particles.star"):
            document, columns = gemmi.cif.read(str(path)), star_columns(path)
            self.assertEqual([block.name for block in document], ["optics", "particles"])
            loop = document.find_block("particles").find_loop("_rlnImageName").get_loop()
            self.assertEqual((loop.tags, loop.length()), (list(columns), IMAGES))
            for label, texts in columns.items():
                self.assertEqual(list(document.find_block("particles").find_loop(label)), texts)

    def test_a_map_has_the_grid_cell_axes_and_values_that_mrcfile_finds(self):
        import gemmi
        maps = [DATA / "truth" / "state_000.mrc", *sorted(RUN.glob("volumes/*.mrc"))]
        self.assertEqual(len(maps), 11)
        for path in maps:
            found, (values, apix) = gemmi.read_ccp4_map(str(path)), read_mrc(path)
            side = BOX * apix
            np.testing.assert_allclose(found.grid.unit_cell.parameters, [side] * 3 + [90] * 3, rtol=1e-6)
            self.assertEqual(found.axis_positions(), [0, 1, 2])
            self.assertEqual((found.grid.nu, found.grid.nv, found.grid.nw), values.shape)
            self.assertEqual(found.grid.spacegroup.number, 1)
            np.testing.assert_array_equal(np.array(found.grid), values.transpose(2, 1, 0))  # [x, y, z]
            statistics = [found.header_float(word) for word in (20, 21, 22, 55)]
            np.testing.assert_allclose(statistics, [values.min(), values.max(), values.mean(), values.std()], rtol=1e-3,
                                       atol=1e-5 * values.std())


@needs("safetensors")
class Safetensors(unittest.TestCase):
    def test_checkpoints_and_models_hold_networks_poses_and_latents(self):
        from safetensors import safe_open
        from safetensors.numpy import load_file
        for run, shapes in ((RUN, {"encoder.output.weight": (6, 8), "encoder.output.bias": (1, 6)}),
                            (TABLE, {"latents.values": (IMAGES, 3)})):
            files = [run / "model.safetensors", *sorted(run.glob("checkpoints/*.safetensors"))]
            self.assertEqual(len(files), 1 + EPOCHS)
            for path in files:
                tensors = load_file(path)
                for name, tensor in tensors.items():
                    self.assertTrue(np.isfinite(tensor).all(), (path, name))
                shapes |= {"decoder.hidden1.weight": (8, 8), "decoder.output.weight": (2, 8),
                           "poses.matrices": (IMAGES, 3, 3), "poses.shifts_px": (IMAGES, 2)}
                self.assertEqual({name: tensors[name].shape for name in shapes}, shapes, path)
                # Adam has two moments for each number of the networks.
                networks = sum(t.size for name, t in tensors.items() if name.startswith(("encoder.", "decoder.")))
                for name in ("adam.first_moments", "adam.second_moments"):
                    self.assertEqual(tensors[name].shape, (networks,), path)
                with safe_open(path, "np") as file:
                    self.assertEqual(file.metadata()["format"], "reconstruct-checkpoint-1")
            model, (rotations, origins) = load_file(files[0]), poses_of(run / "poses.star")
            np.testing.assert_allclose(model["poses.matrices"], rotations, atol=1e-6)
            np.testing.assert_allclose(model["poses.shifts_px"] * read_mrc(run / "volumes" / "vol_000.mrc")[1], origins,
                                       atol=1e-5)
            if "latents.values" in model:
                np.testing.assert_array_equal(model["latents.values"], np.load(run / "z.npy"))


@needs(*CRYODRGN)
class CryoDrgn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        import cryodrgn
        logging.disable(logging.WARNING)
        cls.z = np.load(RUN / "z.npy")

    def cryodrgn(self, command, *arguments, folder="commands"):
        """A command as cryoDRGN's own command line calls it, without loading all the others."""
        module = importlib.import_module(f"cryodrgn.{folder}.{command}")
        parser = argparse.ArgumentParser()
        module.add_args(parser)
        with contextlib.redirect_stdout(io.StringIO()):
            module.main(parser.parse_args(list(map(str, arguments))))

    def test_its_own_conversion_of_our_star_file_is_our_export(self):
        from cryodrgn.utils import load_pkl
        poses, ctf = PATH / "poses.pkl", PATH / "ctf.pkl"
        for star in (RUN / "poses.star", EXPORT / "particles.star"):
            self.cryodrgn("parse_pose_star", star, "-o", poses)
            self.cryodrgn("parse_ctf_star", star, "-o", ctf)
            for theirs, ours in zip(load_pkl(poses), load_pkl(EXPORT / "pose.pkl")):
                np.testing.assert_allclose(theirs, ours, atol=1e-6)
            np.testing.assert_allclose(load_pkl(ctf), load_pkl(EXPORT / "ctf.pkl"), rtol=1e-6)

    def test_the_command_that_export_names_runs_and_its_outputs_are_of_our_images(self):
        from cryodrgn import analysis
        from cryodrgn.utils import load_pkl
        program, command, *arguments = THEN.split()
        self.assertEqual((program, command), ("cryodrgn", "analyze"))
        self.assertEqual(arguments, [str(EXPORT), str(EPOCHS), "--skip-vol"])
        self.cryodrgn(command, *arguments)
        out = EXPORT / f"analyze.{EPOCHS}"
        for name in ("z_pca.png", "umap.png", f"learning_curve_epoch{EPOCHS}.png", "pc1/pca_traversal.png",
                     "pc2/umap.png", "kmeans20/z_pca.png", "cryoDRGN_filtering.ipynb"):
            self.assertGreater((out / name).stat().st_size, 1000, name)
        z = load_pkl(EXPORT / f"z.{EPOCHS}.pkl")
        np.testing.assert_array_equal(z, self.z)
        labels, umap = (load_pkl(out / name) for name in ("kmeans20/labels.pkl", "umap.pkl"))
        self.assertEqual((labels.shape, set(labels), umap.shape), ((IMAGES,), set(range(20)), (IMAGES, 2)))
        np.testing.assert_allclose(np.loadtxt(out / "kmeans20" / "centers.txt"),
                                   self.z[np.loadtxt(out / "kmeans20" / "centers_ind.txt", dtype=int)], rtol=1e-6)
        events = [json.loads(line) for line in (RUN / "events.jsonl").read_text().splitlines()]
        np.testing.assert_allclose(analysis.parse_loss(str(EXPORT / "run.log")),
                                   [event["loss"] for event in events if event["event"] == "epoch"], atol=1e-6)
        # A cluster chosen there is a selection here.
        chosen = PATH / "chosen.pkl"
        self.cryodrgn("select_clusters", out / "kmeans20" / "labels.pkl", "--sel", 1, 4, "-o", chosen, folder=UTILS)
        call("select", RUN, "--ind", chosen, "-o", PATH / "chosen.npy")
        np.testing.assert_array_equal(np.load(PATH / "chosen.npy"), np.flatnonzero(np.isin(labels, [0, 3])))
        # So is what is drawn around in its window, which a line stands for here.
        with mock.patch("cryodrgn.commands.filter.SelectFromScatter") as window:
            window.return_value.indices = [5, 7, 60]
            self.cryodrgn("filter", EXPORT, "--force", "--sel-dir", PATH)
        shown = window.call_args.args[0]
        np.testing.assert_array_equal(shown[["z0", "z1", "z2"]], self.z)
        np.testing.assert_array_equal(shown["labels"], labels)
        call("select", RUN, "--ind", PATH / "indices.pkl", "-o", PATH / "chosen.npy")
        np.testing.assert_array_equal(np.load(PATH / "chosen.npy"), [5, 7, 60])

    def test_components_and_paths_agree_with_ours(self):
        from cryodrgn import analysis
        call("analyze", RUN, "-o", PATH / "analysis", "--kmeans", 2, "--pc", 3, "--steps", 2, "--no-umap")
        with contextlib.redirect_stdout(io.StringIO()):
            theirs = analysis.run_pca(self.z)[0]
        ours = np.load(PATH / "analysis" / "pca.npy")
        self.assertEqual(ours.shape, theirs.shape)
        signs = np.sign((ours * theirs).sum(axis=0))
        np.testing.assert_allclose(ours * signs, theirs, atol=1e-4 * np.abs(theirs).max())
        path, rows = PATH / "z_path.txt", PATH / "path.txt"
        self.cryodrgn("graph_traversal", EXPORT / f"z.{EPOCHS}.pkl", "--anchors", 0, IMAGES - 1, "-o", path, "--outind",
                      rows, "--max-neighbors", 30, "--avg-neighbors", 30)
        rows = np.loadtxt(rows, dtype=int)
        self.assertEqual((rows[0], rows[-1]), (0, IMAGES - 1))
        np.testing.assert_allclose(np.loadtxt(path), self.z[rows], rtol=1e-6)
        call("volumes", RUN, "--z-file", path, "-o", PATH / "along_path")
        np.testing.assert_allclose(np.load(PATH / "along_path" / "z_values.npy"), self.z[rows], rtol=1e-6)

    def test_it_trains_on_the_export(self):
        from cryodrgn.utils import load_pkl
        out = PATH / "their_run"
        small = [f"--{part}-{size}={n}" for part in ("enc", "dec") for size, n in (("layers", 1), ("dim", 8))]
        self.cryodrgn("train_vae", EXPORT / "particles.star", "--poses", EXPORT / "pose.pkl", "--ctf",
                      EXPORT / "ctf.pkl", "--zdim", 2, "-n", 1, "-o", out, "--no-analysis", *small)
        z = load_pkl(out / "z.1.pkl")
        self.assertEqual(z.shape, (IMAGES, 2))
        self.assertTrue(np.isfinite(z).all())

    def test_images_poses_and_volumes_come_through(self):
        from cryodrgn import mrcfile as their_mrc
        from cryodrgn.source import ImageSource
        images = ImageSource.from_file(str(EXPORT / "particles.star")).images(as_numpy=True)
        np.testing.assert_array_equal(images, read_mrc(DATA / "particles.mrcs")[0])
        for path in RUN.glob("volumes/*.mrc"):
            (volume, header), (values, apix) = their_mrc.parse_mrc(str(path)), read_mrc(path)
            np.testing.assert_array_equal(volume, values)
            self.assertAlmostEqual(header.apix, apix, places=5)
        written = PATH / "written.star"
        self.cryodrgn("write_star", DATA / "particles.mrcs", "--poses", EXPORT / "pose.pkl", "--ctf",
                      EXPORT / "ctf.pkl", "-o", written, folder=UTILS)
        call("validate", written)
        errors = result("compare", "poses", written, RUN / "poses.star")
        self.assertLess(errors["rotation_error_degrees_median"], 1e-3)
        self.assertLess(errors["translation_error_px_median"], 1e-4)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: clients_test.py path/to/reconstruct [unittest options]")
    formats.PROGRAM = str(Path(sys.argv[1]).resolve())
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], warnings="ignore")
