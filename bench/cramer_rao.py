#!/usr/bin/python3
"""What noise allows: the Cramer-Rao bound of each image's pose, three turns and two shifts, at its true pose.

    python3 bench/cramer_rao.py MAP.mrc TRUTH.star --noise SIGMA [--every N]

MAP is the true map, TRUTH.star holds true angles and shifts (one particle loop), SIGMA is the standard deviation of the
noise in a pixel. No CTF. Needs python3-numpy, python3-scipy and python3-mrcfile.
"""
import argparse

import mrcfile
import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

STEP_RAD = 0.004
PADDING = 2


def angles_of(star):
    """rot, tilt, psi of each particle, degrees [N, 3]."""
    wanted, columns, rows = ("_rlnAngleRot", "_rlnAngleTilt", "_rlnAnglePsi"), [], []
    for line in open(star, encoding="utf-8"):
        words = line.split()
        if line.startswith(("data_", "loop_")) and not (rows and all(w in columns for w in wanted)):
            columns, rows = [], []
        elif words and words[0].startswith("_rln"):
            columns.append(words[0])
        elif words and columns and len(words) == len(columns):
            rows.append(words)
    return np.array([[float(row[columns.index(w)]) for w in wanted] for row in rows])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("map")
    options.add_argument("truth")
    options.add_argument("--noise", type=float, required=True)
    options.add_argument("--every", type=int, default=5)
    o = options.parse_args()
    density = mrcfile.open(o.map).data.astype(float)
    side = density.shape[0]
    padded = np.zeros((PADDING * side,) * 3)
    first = (PADDING - 1) * side // 2
    padded[(slice(first, first + side),) * 3] = density
    fourier = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(padded)))
    k = np.arange(-(side // 2), side // 2)
    kx, ky = (a.ravel().astype(float) for a in np.meshgrid(k, k))
    inside = (kx**2 + ky**2 <= (side / 2) ** 2) & (kx**2 + ky**2 > 0)
    kx, ky = kx[inside], ky[inside]

    def slice_at(rotation):
        at = (PADDING * (rotation.T @ np.stack([kx, ky, 0 * kx])) + PADDING * side // 2)[::-1]
        return map_coordinates(fourier.real, at, order=3) + 1j * map_coordinates(fourier.imag, at, order=3)

    draws = np.random.default_rng(0)
    shifts, known, turns = [], [], []
    for angles in angles_of(o.truth)[:: o.every]:
        rotation = Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().T
        value = slice_at(rotation)
        derivatives = []
        for axis in np.eye(3):
            turn = Rotation.from_rotvec(STEP_RAD * axis).as_matrix()
            derivatives.append((slice_at(turn @ rotation) - slice_at(turn.T @ rotation)) / (2 * STEP_RAD))
        derivatives += [-2j * np.pi * kx / side * value, -2j * np.pi * ky / side * value]
        j = np.array(derivatives)
        information = (j @ j.conj().T).real / (o.noise * side) ** 2  # a real image: k and -k are one measurement
        error = np.linalg.cholesky(np.linalg.inv(information)) @ draws.standard_normal((5, 400))
        turns.append(np.linalg.norm(error[:3], axis=0))
        shifts.append(np.hypot(*error[3:]))
        known.append(np.hypot(*(np.linalg.cholesky(np.linalg.inv(information[3:, 3:])) @ draws.standard_normal((2, 400)))))
    turn = float(np.median(turns))
    print(f"images                                {len(turns)}")
    print(f"rotation, median degrees              {np.degrees(turn):.3f}")
    print(f"rotation, median squared Frobenius    {2 * turn**2:.5f}")
    print(f"shift, median px                      {np.median(shifts):.4f}")
    print(f"shift where rotations are known, px   {np.median(known):.4f}")


if __name__ == "__main__":
    main()
