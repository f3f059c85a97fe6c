#!/usr/bin/env python3
"""What the program reads from others and hands on to them, tried with their own readers.

    python3 tests/apps/formats_test.py path/to/reconstruct

NumPy writes the cryoSPARC tables and the pickles that are read here, and reads what is written; RELION's star and image
handlers, and mrcfile.validate, judge STAR files and maps. Poses and crops are compared with a few lines of NumPy.
"""

import io
import json
import pickle
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

import mrcfile
import numpy as np

PROGRAM = ""
ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "data" / "one_bond.json"
BOX, IMAGES = 32, 60


def call(*arguments, code=0):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    if done.returncode != code:
        raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def result(*arguments):
    return json.loads(call(*arguments, "--json").stdout.splitlines()[-1])


def star_columns(path):
    """The columns of the last table of a STAR file, as text."""
    labels, rows = [], []
    for line in Path(path).read_text().splitlines():
        if line.startswith("loop_"):
            labels, rows = [], []
        elif line.startswith("_"):
            labels.append(line.split()[0])
        elif line.strip() and not line.startswith(("#", "data_")):
            rows.append(line.split())
    return {label: [row[i] for row in rows] for i, label in enumerate(labels)}


def numbers(columns, *labels):
    return np.array([[float(x) for x in columns[label]] for label in labels]).T


def relion_matrix(euler_deg):
    """A(rot, tilt, psi): turn about z by rot, about the new y by tilt, about the new z by psi; x_image = A x."""
    rot, tilt, psi = np.radians(np.asarray(euler_deg, float)).T
    zero, one = np.zeros_like(rot), np.ones_like(rot)

    def turn_z(a):
        return np.array([[np.cos(a), np.sin(a), zero], [-np.sin(a), np.cos(a), zero], [zero, zero, one]]).transpose(2, 0, 1)
    turn_y = np.array([[np.cos(tilt), zero, -np.sin(tilt)], [zero, one, zero],
                       [np.sin(tilt), zero, np.cos(tilt)]]).transpose(2, 0, 1)
    return turn_z(psi) @ turn_y @ turn_z(rot)


def rodrigues(vector):
    """exp of the skew matrix of a rotation vector, by its power series."""
    x, y, z = vector
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]], float)
    out, term = np.eye(3), np.eye(3)
    for order in range(1, 40):
        term = term @ skew / order
        out = out + term
    return out


def read_mrc(path):
    with mrcfile.open(path) as file:
        return np.array(file.data), float(file.voxel_size.x)


class Formats(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name)
        cls.data = cls.path / "data"
        call("simulate", MODEL, "-o", cls.data, "--images", IMAGES, "--shift-extent", 2, "--snr", 1, "--ctf",
             "--states", 2)
        cls.star, cls.stack = cls.data / "particles.star", cls.data / "particles.mrcs"
        cls.map = cls.data / "truth" / "state_000.mrc"
        cls.columns = star_columns(cls.star)
        cls.euler = numbers(cls.columns, "_rlnAngleRot", "_rlnAngleTilt", "_rlnAnglePsi")
        cls.apix = read_mrc(cls.map)[1]
        cls.shift = numbers(cls.columns, "_rlnOriginXAngst", "_rlnOriginYAngst") / cls.apix
        cls.trained = cls.path / "run"
        call("train", cls.star, "-o", cls.trained, "--poses", "given", "--zdim", 2, "--latent", "table", "--layers", 2,
             "--width", 16, "--epochs", 2, "--sweep", 2)
        cls.z = np.load(cls.trained / "z.npy")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def make_cs(self, name, fields):
        array = np.zeros(IMAGES, dtype=[(key, value.dtype, value.shape[1:]) for key, value in fields.items()])
        for key, value in fields.items():
            array[key] = value
        with open(self.path / name, "wb") as file:
            np.save(file, array)
        return self.path / name

    def test_a_cs_file_of_numpy_gives_the_poses_of_the_star_file(self):
        # The vectors of the transposed matrices, found as the axis and angle of each; at binned pixels.
        vectors = []
        for matrix in relion_matrix(self.euler):
            turn = matrix.T
            angle = np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))
            axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
            vectors.append(axis / (2 * np.sin(angle)) * angle)
            self.assertLess(np.abs(rodrigues(vectors[-1]) - turn).max(), 1e-6)
        uids = np.random.default_rng(1).permutation(IMAGES).astype("<u8") + 2**63
        poses = self.make_cs("poses.cs", {
            "uid": uids, "alignments3D/pose": np.array(vectors, "<f4"), "alignments3D/split": np.arange(IMAGES) % 2,
            "alignments3D/shift": (self.shift / 4).astype("<f4"),
            "alignments3D/psize_A": np.full(IMAGES, 4 * self.apix, "<f4")})
        order = np.random.default_rng(2).permutation(IMAGES)
        blobs = self.make_cs("blobs.cs", {
            "uid": uids[order], "blob/path": np.full(IMAGES, b">data/particles.mrcs"),
            "blob/idx": np.arange(IMAGES, dtype="<u4")[order], "blob/shape": np.full((IMAGES, 2), BOX, "<u4"),
            "blob/psize_A": np.full(IMAGES, self.apix, ">f4"), "blob/sign": np.full(IMAGES, -1, "<f4")})
        out, again = self.path / "from_cs.star", self.path / "again"
        call("convert", poses, "--passthrough", blobs, "-o", out)
        call("simulate", MODEL, "-o", again, "--poses", poses, "--passthrough", blobs, "--snr", 0)
        both = result("compare", "poses", again / "particles.star", poses, "--passthrough", blobs)
        self.assertLess(both["rotation_error_degrees_median"], 1e-3)
        found = star_columns(out)
        np.testing.assert_allclose(
            relion_matrix(numbers(found, "_rlnAngleRot", "_rlnAngleTilt", "_rlnAnglePsi")), relion_matrix(self.euler),
            atol=2e-6)
        np.testing.assert_allclose(numbers(found, "_rlnOriginXAngst", "_rlnOriginYAngst") / self.apix, self.shift,
                                   atol=1e-5)
        self.assertEqual([int(name.split("@")[0]) for name in found["_rlnImageName"]], list(range(1, IMAGES + 1)))
        self.assertEqual(found["_rlnRandomSubset"], [str(1 + i % 2) for i in range(IMAGES)])
        for options, warned in (([], True), (["--invert"], False)):  # no CTF: bright particles are expected
            told = call("train", poses, "--passthrough", blobs, "-o", self.path / "none", "--dry-run", *options).stderr
            self.assertIn("blob/sign says: particles darker", told)
            self.assertEqual("by the file's blob/sign the density will come out negative" in told, warned)
        call("validate", poses, "--passthrough", blobs)
        maps = [self.path / f"bp_{name}" / "backproject.mrc" for name in ("cs", "star")]
        for path, particles in zip(maps, ([poses, "--passthrough", blobs], [out])):
            call("backproject", *particles, "-o", path.parent, "--no-ctf")
        np.testing.assert_allclose(*(read_mrc(path)[0] for path in maps), atol=1e-4 * np.abs(read_mrc(maps[1])[0]).max())
        aligned = result("compare", "fsc", *maps, "--align-poses", poses, out, "--passthrough", blobs)
        self.assertGreater(min(aligned["fsc"]), 0.99)

    def test_pickles_of_numpy_in_every_protocol_and_order_are_cryodrgns_poses_ctf_and_ind(self):
        rotations = relion_matrix(self.euler)
        for protocol in (2, 3, 4, 5):
            for order, kind in (("C", "<f4"), ("F", "<f8"), ("C", ">f8")):
                with open(self.path / "poses.pkl", "wb") as file:
                    pickle.dump((np.array(rotations, kind, order=order), np.array(self.shift / BOX, kind)), file, protocol)
                call("convert", self.stack, "--poses", self.path / "poses.pkl", "-o", self.path / "poses.npy")
                found = np.load(self.path / "poses.npy")
                np.testing.assert_allclose(relion_matrix(found[:, :3]), rotations, atol=1e-6)
                np.testing.assert_allclose(found[:, 3:], self.shift, atol=1e-5)
        ctf = np.column_stack([np.full(IMAGES, BOX), np.full(IMAGES, self.apix),
                               numbers(self.columns, "_rlnDefocusU", "_rlnDefocusV", "_rlnDefocusAngle"),
                               np.full(IMAGES, 300), np.full(IMAGES, 2.7), np.full(IMAGES, 0.1), np.zeros(IMAGES)])
        (self.path / "ctf.pkl").write_bytes(pickle.dumps(ctf.astype("f4")))
        (self.path / "ind.pkl").write_bytes(pickle.dumps(np.array([5, 3, 40])))
        call("convert", self.stack, "--poses", self.path / "poses.pkl", "--ctf", self.path / "ctf.pkl", "--ind",
             self.path / "ind.pkl", "-o", self.path / "three.star")
        three = star_columns(self.path / "three.star")
        self.assertEqual([name.split("@")[0] for name in three["_rlnImageName"]], ["6", "4", "41"])
        np.testing.assert_allclose(numbers(three, "_rlnDefocusU")[:, 0],
                                   numbers(self.columns, "_rlnDefocusU")[[5, 3, 40], 0], rtol=1e-6)
        both = [self.path / f"bp_{name}" for name in ("files", "columns")]
        call("backproject", self.stack, "--poses", self.path / "poses.pkl", "--ctf", self.path / "ctf.pkl", "-o", both[0])
        call("backproject", self.star, "-o", both[1])
        maps = [read_mrc(out / "backproject.mrc")[0] for out in both]
        np.testing.assert_allclose(maps[0], maps[1], atol=1e-4 * np.abs(maps[1]).max())
        dry = result("train", self.stack, "-o", self.path / "none", "--poses", self.path / "poses.pkl", "--ctf",
                     self.path / "ctf.pkl", "--ind", self.path / "ind.pkl", "--dry-run")
        self.assertEqual((dry["images"], dry["poses"], dry["ctf"]["use"]), (3, "given", "in the model"))

    def test_a_pickle_that_would_run_a_command_runs_none(self):
        target = self.path / "touched"

        class Command:
            def __reduce__(self):
                import os
                return os.system, (f"touch {target}",)
        for protocol in (2, 4, 5):
            (self.path / "evil.pkl").write_bytes(pickle.dumps(Command(), protocol))
            done = call("convert", self.stack, "--poses", self.path / "evil.pkl", "-o", self.path / "x.star", code=65)
            self.assertIn("system', which is no part of a NumPy array", done.stderr)
        self.assertFalse(target.exists())

    def test_selections_keep_what_they_say(self):
        z1 = self.z[:, 0]
        low, high = map(float, np.sort(z1)[[IMAGES // 4, IMAGES // 2]])
        rows = self.path / "rows.npy"
        call("select", self.trained, "-o", rows, "--range", "z1", low, high)
        inside = np.flatnonzero((z1 >= low) & (z1 <= high))
        np.testing.assert_array_equal(np.load(rows), inside)
        call("select", self.trained, "-o", rows, "--range", "z1", low, high, "--invert-selection")
        np.testing.assert_array_equal(np.load(rows), np.setdiff1d(np.arange(IMAGES), inside))
        centre = np.median(self.z, axis=0)
        corners = [centre + r for r in ([-9, -9], [9, -9], [0, 0])]  # a triangle below the median
        call("select", self.trained, "-o", rows, "--lasso", "z1", "z2", " ".join("%.9g,%.9g" % tuple(c) for c in corners))
        d = self.z - centre
        np.testing.assert_array_equal(np.load(rows), np.flatnonzero((d[:, 1] < -np.abs(d[:, 0])) & (d[:, 1] > -9)))
        call("volumes", self.trained, "-o", self.path / "clusters", "--kmeans", 3)
        labels = np.load(self.path / "clusters" / "labels.npy")
        out = self.path / "cluster.star"
        call("select", self.trained, "-o", out, "--kmeans", 3, "--cluster", "0,2")
        kept = np.flatnonzero(labels != 1)
        found = star_columns(out)
        np.testing.assert_allclose(numbers(found, "_cdrgnZ1", "_cdrgnZ2"), self.z[kept], rtol=1e-6)
        for label in ("_rlnDefocusU", "_rlnOpticsGroup"):
            self.assertEqual(found[label], [self.columns[label][i] for i in kept])
        same = self.path / "same.npy"
        call("select", self.trained, "-o", same, "--labels", self.path / "clusters" / "labels.npy", "--cluster", "0,2")
        np.testing.assert_array_equal(np.load(same), kept)
        again = self.path / "again.cs"
        call("select", self.star, "-o", again, "--ind", same, "--images", "1,2,3,4,5,6,7,8,9,10", "--range", "_rlnDefocusU",
             0, 1e6)
        table = np.load(again)
        self.assertEqual(list(table["blob/idx"]), [i for i in kept if i < 10])
        call("select", self.trained, "-o", rows, "--range", "z3", 0, 1, code=64)
        call("select", self.trained, "-o", rows, "--cluster", "1", code=64)
        call("select", self.trained, "-o", rows, "--range", "z1", 1e6, 2e6, code=65)

    def test_numpy_reads_a_cs_file_and_it_comes_back(self):
        out, back = self.path / "all.cs", self.path / "back.star"
        call("convert", self.trained, "-o", out)
        table = np.load(out)
        np.testing.assert_allclose([rodrigues(v).T for v in table["alignments3D/pose"].astype(float)],
                                   relion_matrix(self.euler), atol=2e-6)
        np.testing.assert_allclose(table["alignments3D/shift"], self.shift, atol=1e-5)
        np.testing.assert_allclose(table["cdrgn/z2"], self.z[:, 1], rtol=1e-6)
        self.assertEqual(len(set(table["uid"])), IMAGES)
        call("convert", out, "-o", back)
        np.testing.assert_allclose(numbers(star_columns(back), "_rlnDefocusV"), numbers(self.columns, "_rlnDefocusV"),
                                   rtol=1e-6)
        both = result("compare", "poses", out, self.star)
        self.assertLess(both["rotation_error_degrees_median"], 1e-3)

    def test_star_versions_are_read_by_relion(self):
        old, new, extended = (self.path / f"{name}.star" for name in ("old", "new", "extended"))  # with a strange column
        call("select", self.trained, "-o", extended, "--range", "z1", -1e9, 1e9)
        call("convert", extended, "--star", "3.0", "-o", old)
        call("convert", old, "--star", "3.1", "-o", new)
        for path in (old, new, self.path / "extended.star"):
            self.assertEqual(star_columns(path)["_cdrgnZ1"], star_columns(extended)["_cdrgnZ1"])
            info = result("info", path)
            self.assertEqual((info["particles"], info["poses"], info["ctf"]), (IMAGES, True, True))
            self.assertAlmostEqual(info["pixel_size_angstrom"], self.apix, places=5)
            self.assertLess(result("compare", "poses", path, self.star)["translation_error_px_median"], 1e-5)
        self.assertNotIn("data_optics", old.read_text())
        for path in (old, new):
            call("convert", path, "--apix", 2 * self.apix, "-o", self.path / "coarse.star")
            self.assertAlmostEqual(result("info", self.path / "coarse.star")["pixel_size_angstrom"], 2 * self.apix, 5)
        if not shutil.which("relion_star_handler"):
            self.skipTest("relion_star_handler is not installed")
        for path in (old, new, extended):
            done = subprocess.run(["relion_star_handler", "--i", path, "--o", self.path / "handled.star", "--select",
                                   "rlnDefocusU", "--minval", "0"], capture_output=True, text=True, cwd=self.path)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(len(star_columns(self.path / "handled.star")["_rlnImageName"]), IMAGES)

    def test_a_smaller_box_keeps_the_low_frequencies_and_the_metadata(self):
        small = self.path / "small.mrcs"
        call("downsample", self.star, "-o", small, "--box", 16)
        images, apix = read_mrc(small)
        self.assertAlmostEqual(apix, 2 * self.apix, places=4)
        centred = [np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(some, axes=(1, 2))), axes=(1, 2))
                   for some in (read_mrc(self.stack)[0], images)]
        np.testing.assert_allclose(centred[1][:, 1:, 1:] * 4, centred[0][:, 9:24, 9:24],
                                   atol=1e-4 * np.abs(centred[0]).max())  # without the Nyquist lines
        star = self.path / "small.star"
        info = result("info", star)
        self.assertEqual((info["box_px"], info["particles"]), (16, IMAGES))
        self.assertAlmostEqual(info["pixel_size_angstrom"], 2 * self.apix, places=5)
        self.assertEqual(star_columns(star)["_rlnOriginXAngst"], self.columns["_rlnOriginXAngst"])
        call("validate", star)
        old, cs = self.path / "old2.star", self.path / "p.cs"
        call("convert", self.star, "--star", "3.0", "-o", old)
        call("convert", self.star, "-o", cs)
        for path in (old, cs):  # the same, from origins in pixels and from a .cs file
            call("downsample", path, "-o", self.path / "other.mrcs", "--box", 16)
            other = self.path / ("other" + path.suffix)
            call("validate", other)
            self.assertLess(result("compare", "poses", other, star)["translation_error_px_median"], 1e-5)
        call("downsample", self.map, "-o", self.path / "small.mrc", "--box", 16)
        big, little = read_mrc(self.map)[0], read_mrc(self.path / "small.mrc")[0]
        self.assertAlmostEqual(big.mean(), little.mean(), delta=1e-5 * np.abs(big).max())
        call("downsample", self.map, "-o", self.path / "small.mrc", "--box", 64, code=65)

    def test_maps_change_hand_sign_and_pixel_size_and_pass_validation(self):
        out, again, mask = (self.path / name for name in ("flipped.mrc", "again.mrc", "mask.mrc"))
        call("convert", self.map, "-o", out, "--flip-hand", "--invert", "--apix", 1.25)
        data, before = read_mrc(out)[0], read_mrc(self.map)[0]
        np.testing.assert_array_equal(data, -np.roll(before[::-1], 1, axis=0))
        self.assertAlmostEqual(read_mrc(out)[1], 1.25, places=5)
        call("convert", out, "-o", again, "--flip-hand", "--invert", "--apix", self.apix)
        np.testing.assert_array_equal(read_mrc(again)[0], before)
        picked, gathered = self.path / "picked.star", self.path / "gathered.mrcs"
        call("select", self.star, "-o", picked, "--images", "7,3,50")
        call("convert", picked, "-o", gathered)
        np.testing.assert_array_equal(read_mrc(gathered)[0], read_mrc(self.stack)[0][[2, 6, 49]])
        self.assertEqual(star_columns(self.path / "gathered.star")["_rlnDefocusU"],
                         [self.columns["_rlnDefocusU"][i] for i in (2, 6, 49)])
        call("validate", self.path / "gathered.star")
        inverted = self.path / "inverted.mrcs"
        call("convert", self.stack, "-o", inverted, "--invert")
        np.testing.assert_array_equal(read_mrc(inverted)[0], -read_mrc(self.stack)[0])
        found = result("mask", self.map, "-o", mask, "--dilation", 2, "--edge", 3)
        weights = read_mrc(mask)[0]
        dense = np.argwhere(before > found["threshold"])
        where = np.random.default_rng(3).integers(0, BOX, (300, 3))
        away = np.sqrt(((where[:, None, :] - dense[None]) ** 2).sum(-1).min(1))
        expected = np.where(away <= 2, 1, np.where(away >= 5, 0, 0.5 + 0.5 * np.cos(np.pi * (away - 2) / 3)))
        np.testing.assert_allclose(weights[tuple(where.T)], expected, atol=1e-5)
        for path in (out, again, inverted, mask, *self.trained.glob("volumes/*.mrc")):
            self.assertTrue(mrcfile.validate(path, print_file=io.StringIO()), path)
            if shutil.which("relion_image_handler"):
                done = subprocess.run(["relion_image_handler", "--i", path, "--stats"], capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stderr)
        xml_file = self.path / "fsc.xml"
        call("compare", "fsc", self.map, again, "-o", xml_file)
        root = xml.etree.ElementTree.parse(xml_file).getroot()
        self.assertEqual([float(y.text) for y in root.iter("y")], [1.0] * (BOX // 2))
        self.assertAlmostEqual(float(root[0][0].text), 1 / (BOX * self.apix), places=5)

    def test_an_export_is_what_cryodrgn_loads(self):
        run, out = self.path / "vae", self.path / "export"
        call("train", self.star, "-o", run, "--poses", "given", "--zdim", 3, "--layers", 1, "--width", 8,
             "--encoder-layers", 1, "--encoder-width", 8, "--epochs", 2, "--sweep", 2)
        call("export", run, "--cryodrgn", "-o", out)
        with open(out / "z.2.pkl", "rb") as file:
            mean, log_variance = pickle.load(file), pickle.load(file)
            self.assertEqual(file.read(), b"")
        np.testing.assert_array_equal(mean, np.load(run / "z.npy"))
        np.testing.assert_array_equal(log_variance, np.load(run / "z_logvar.npy"))
        rotations, translations = pickle.loads((out / "pose.pkl").read_bytes())
        np.testing.assert_allclose(rotations, relion_matrix(self.euler), atol=1e-6)
        np.testing.assert_allclose(translations, self.shift / BOX, atol=1e-6)
        ctf = pickle.loads((out / "ctf.pkl").read_bytes())
        np.testing.assert_allclose(ctf[:, [0, 1]], np.full((IMAGES, 2), [BOX, self.apix]), rtol=1e-6)
        np.testing.assert_allclose(ctf[:, 2:5], numbers(self.columns, "_rlnDefocusU", "_rlnDefocusV", "_rlnDefocusAngle"),
                                   rtol=1e-6)
        config = json.loads("\n".join(line for line in (out / "config.yaml").read_text().splitlines()
                                      if not line.startswith("#")))
        self.assertEqual(config["lattice_args"]["D"], BOX + 1)
        self.assertEqual(Path(config["dataset_args"]["ctf"]), (out / "ctf.pkl").absolute())
        self.assertEqual((out / "run.log").read_text().count("total loss = "), 2)
        # And back: our own reader takes its poses and CTF.
        call("convert", self.stack, "--poses", out / "pose.pkl", "--ctf", out / "ctf.pkl", "-o", self.path / "b.star")
        self.assertLess(result("compare", "poses", self.path / "b.star", self.star)["rotation_error_degrees_median"], 1e-3)
        names = (run / "volumes" / "view.cxc").read_text().split("\nopen ")[1].split(" vseries")[0].split()
        self.assertEqual(names, sorted(path.name for path in (run / "volumes").glob("vol_*.mrc")))

    def test_wrong_uses_are_refused_and_nothing_is_written(self):
        x = self.path / "not-made.star"
        for code, arguments in (
                (64, ["convert", self.star, "-o", self.star]),
                (64, ["convert", self.star, "-o", x, "--invert"]), (64, ["convert", self.star, "-o", self.path / "x.txt"]),
                (64, ["convert", self.star, "--passthrough", "y.cs", "-o", x]), (66, ["convert", "absent.star", "-o", x]),
                (64, ["convert", self.stack, "-o", self.path / "x.mrcs", "--flip-hand"]),
                (65, ["convert", self.stack, "-o", self.path / "x.npy"]),
                (64, ["convert", self.trained, "--poses", self.star, "-o", x]),
                (64, ["downsample", self.star, "-o", self.path / "x.mrcs", "--box", 64]),
                (64, ["downsample", self.star, "-o", self.path / "x.mrcs", "--box", 15]),
                (64, ["downsample", self.star, "-o", x, "--box", 16]),
                (64, ["downsample", self.star, "-o", self.stack, "--box", 16]),
                (64, ["select", self.star, "-o", self.star, "--images", 1]),
                (65, ["mask", self.map, "-o", self.path / "x.mrc", "--threshold", 1e9]),
                (65, ["mask", self.stack, "-o", self.path / "x.mrc"]),
                (64, ["export", self.trained, "-o", self.path / "x"]), (66, ["export", self.star, "--cryodrgn", "-o", x]),
                (64, ["select", self.star, "-o", x, "--kmeans", 3]), (64, ["select", self.star, "-o", x, "--images", 0]),
                (64, ["select", self.star, "-o", x, "--range", "_rlnNone", 0, 1]),
                (64, ["select", self.star, "-o", x, "--lasso", "z1", "z2", "0,0 1,1"]),
                (64, ["train", self.star, "-o", x, "--poses", "maybe"]),
                (65, ["train", self.star, "-o", x, "--poses", self.trained / "z.npy", "--dry-run"])):
            call(*arguments, code=code)
        for name in ("x.mrc", "x.mrcs", "x.txt", "x.npy", "x", "not-made.star"):
            self.assertFalse((self.path / name).exists(), name)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: formats_test.py path/to/reconstruct [unittest options]")
    PROGRAM = str(Path(sys.argv[1]).resolve())
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
