#!/usr/bin/env python3
"""Kernels that claim tensor cores must show them in the machine code of every architecture they are built for.

    python3 tests/tensor_cores_test.py build/cuda/librecon_kernels.a

Reads the listing of cuobjdump, which comes with nvcc. Exit code 77 (skipped) without it.
"""

import re
import shutil
import subprocess
import sys

CLAIMS = ("decoder_forward_kernel", "decoder_training_kernel", "decoder_weights_kernel", "pose_base_tensor_kernel")
TENSOR = re.compile(r"\b(HMMA|HGMMA)\b")


def instructions(listing):
    """{(architecture, function): number of tensor-core instructions}"""
    found, arch, name = {}, "?", None
    for line in listing:
        if match := re.match(r"\s*code for (\S+)", line):
            arch = match.group(1)
        elif match := re.match(r"\s*Function : (\S+)", line):
            name = (arch, match.group(1))
            found[name] = 0
        elif name and TENSOR.search(line):
            found[name] += 1
    return found


def main():
    tool = shutil.which("cuobjdump")
    if not tool:
        print("cuobjdump is not here: skipped")
        return 77
    listing = subprocess.run([tool, "-sass", sys.argv[1]], check=True, capture_output=True, text=True).stdout
    found = instructions(listing.splitlines())
    failures = []
    for claim in CLAIMS:
        mine = {key: count for key, count in found.items() if claim in key[1]}
        for arch in ("sm_80", "sm_90a"):
            counts = [count for (where, _), count in mine.items() if where == arch]
            print(f"{claim} {arch}: {len(counts)} instances, {min(counts, default=0)} or more tensor-core instructions")
            if not counts or min(counts) == 0:
                failures.append(f"{claim} for {arch}")
    if failures:
        print("without tensor cores:", ", ".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
