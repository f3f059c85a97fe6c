#!/usr/bin/env python3
"""Writes a RELION 3.1 particle file of any length, as RELION's Refine3D leaves it: names, poses, CTF, one optics group.

    particle_file.py OUT.star ROWS            the STAR file alone: about 97 bytes a row, 500 particles a stack
    particle_file.py OUT.star ROWS --box D    and OUT.mrcs beside it with ROWS images of D x D pixels of noise

Needs NumPy. What is written depends on ROWS and D alone.
"""
import argparse
import numpy as np

HEADER = """
# version 30001

data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnImagePixelSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
_rlnImageSize #7
_rlnImageDimensionality #8
opticsGroup1 1 {pixel:.6f} 300.000000 2.700000 0.100000 {box} 2


# version 30001

data_particles

loop_
"""
LABELS = ("ImageName AngleRot AngleTilt AnglePsi OriginXAngst OriginYAngst DefocusU DefocusV DefocusAngle PhaseShift "
          "CtfBfactor CtfScalefactor OpticsGroup").split()
PIXEL = 2.0


def rows_of(first, last, stack, draw):
    n = last - first
    angles = draw.uniform(-180, 180, (n, 3)) * [1, 0.5, 1] + [0, 90, 0]
    origins = draw.normal(0, 2, (n, 2))
    defocus = draw.uniform(8000, 25000, n)
    other = draw.uniform(0, 180, n)
    for i in range(n):
        row = first + i
        name = f"{row + 1:06d}@{stack}" if stack else f"{row % 500 + 1:06d}@J7/m{row // 500:05d}.mrcs"
        a, o = angles[i], origins[i]
        yield (f"{name} {a[0]:.4f} {a[1]:.4f} {a[2]:.4f} {o[0]:.4f} {o[1]:.4f} {defocus[i]:.2f} {defocus[i] - 300:.2f} "
               f"{other[i]:.3f} 0.0 0.0 1.0 1\n")


def write_star(path, rows, box, stack):
    draw = np.random.default_rng(7)
    with open(path, "w") as out:
        out.write(HEADER.format(pixel=PIXEL, box=box))
        out.writelines(f"_rln{name} #{i}\n" for i, name in enumerate(LABELS, 1))
        for first in range(0, rows, 100_000):
            out.writelines(rows_of(first, min(first + 100_000, rows), stack, draw))
        out.write("\n")


def write_stack(path, rows, box):
    header = np.zeros(256, np.int32)
    header[0:4] = box, box, rows, 2
    header[7:10] = box, box, rows
    header[10:13] = np.float32([box * PIXEL, box * PIXEL, rows * PIXEL]).view(np.int32)
    header[13:16] = np.float32(90).view(np.int32)
    header[16:19] = 1, 2, 3
    header[19:22] = np.float32([-5, 5, 0]).view(np.int32)
    header[52] = np.frombuffer(b"MAP ", np.int32)[0]
    header[53] = 0x4444
    header[54] = np.float32(1).view(np.int32)
    draw = np.random.default_rng(8)
    with open(path, "wb") as out:
        header.tofile(out)
        for first in range(0, rows, 1000):
            draw.standard_normal((min(1000, rows - first), box, box), np.float32).tofile(out)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("output")
    options.add_argument("rows", type=int)
    options.add_argument("--box", type=int)
    given = options.parse_args()
    stack = given.output[:-5] + ".mrcs" if given.box else None
    write_star(given.output, given.rows, given.box or 64, stack)
    if stack:
        write_stack(stack, given.rows, given.box)


main()
