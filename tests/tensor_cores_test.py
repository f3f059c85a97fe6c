#!/usr/bin/env python3
"""Kernels that claim tensor cores must show them in the machine code of every architecture they are built for.

    python3 tests/tensor_cores_test.py build/cuda/librecon_kernels.a build/cuda/librecon_bench.a

Reads the listing of cuobjdump, which comes with nvcc. Exit code 77 (skipped) without it.
"""

import collections
import re
import shutil
import subprocess
import sys

BOTH = {"sm_80": "HMMA", "sm_90a": "HMMA"}
CLAIMS = {"decoder_forward_kernel": BOTH, "decoder_training_kernel": BOTH, "decoder_weights_kernel": BOTH,
          "pose_base_tensor_kernel": BOTH, "decoder_warpgroup_kernel": {"sm_90a": "HGMMA"},
          "decoder_steps_kernel": BOTH}
TENSOR = re.compile(r"\b(HMMA|HGMMA)\b")


def instructions(listing):
    """{(architecture, function): number of each tensor-core instruction}"""
    found, arch, name = {}, "?", None
    for line in listing:
        if match := re.match(r"\s*code for (\S+)", line):
            arch = match.group(1)
        elif match := re.match(r"\s*Function : (\S+)", line):
            name = (arch, match.group(1))
            found[name] = collections.Counter()
        elif name and (match := TENSOR.search(line)):
            found[name][match.group(1)] += 1
    return found


def main():
    tool = shutil.which("cuobjdump")
    if not tool:
        print("cuobjdump is not here: skipped")
        return 77
    found = {}
    for library in sys.argv[1:]:
        listing = subprocess.run([tool, "-sass", library], check=True, capture_output=True, text=True).stdout
        found.update(instructions(listing.splitlines()))
    failures = []
    for claim, wanted in CLAIMS.items():
        for arch, instruction in wanted.items():
            counts = [count[instruction] for (where, name), count in found.items() if where == arch and claim in name]
            print(f"{claim} {arch}: {len(counts)} instances, {min(counts, default=0)} or more {instruction}")
            if not counts or min(counts) == 0:
                failures.append(f"{claim} for {arch}")
    if failures:
        print("without tensor cores:", ", ".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
