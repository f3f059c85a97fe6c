#!/usr/bin/env python3
"""Measures all variants and writes the tables of kernels/README.md anew, between its two marks.

    python3 bench/tables.py build/cuda/reconstruct [--device cuda]
"""

import argparse
import datetime
import json
import re
import subprocess
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "kernels" / "README.md"
MARKS = re.compile(r"(<!-- tables: bench/tables.py -->\n).*(<!-- end of tables -->)", re.S)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    if not MARKS.search(text):
        raise SystemExit(f"{README}: the marks of the tables are missing")
    tables = subprocess.run([options.program, "bench", "--device", options.device, "--seconds", "1"], check=True,
                            capture_output=True, text=True).stdout
    doctor = json.loads(subprocess.run([options.program, "doctor", "--device", options.device, "--json"], check=True,
                                       capture_output=True, text=True).stdout)
    head = f"{datetime.date.today()}, {doctor['processor']}, `reconstruct bench --seconds 1` on {tables}\n"
    README.write_text(MARKS.sub(lambda m: m.group(1) + head + m.group(2), text), encoding="utf-8")


if __name__ == "__main__":
    main()
