#!/usr/bin/env python3
"""How the time of a training step grows with the size of the problem: a table, and a plot beside the work's own growth.

    python3 bench/scaling.py build/cuda/reconstruct -o bench/results/DATE-scaling [--device cuda] [--quick]

Writes DATE-scaling.md and DATE-scaling.svg. Sizes are varied one at a time around 64 px, 10 x 128, no z, 10 images a
step (`reconstruct bench "training step"`); the number of images by epochs of `reconstruct train` on simulated ones.
Needs nothing but the standard library.
"""

import argparse
import datetime
import json
import math
import subprocess
import tempfile
from pathlib import Path

MODEL = Path(__file__).resolve().parents[1] / "data" / "one_bond.json"
SWEEPS = {
    "box": ("image size D, px", [32, 64, 128, 256]),
    "width": ("width of a layer", [32, 64, 128, 256, 512]),
    "layers": ("hidden layers", [1, 3, 5, 10, 20]),
    "zdim": ("dimensions of z", [0, 1, 2, 4, 8]),
    "batch": ("images a step", [1, 2, 5, 10, 20]),
}
IMAGES = ("images", [200, 2000])


def call(*arguments):
    return subprocess.run([str(a) for a in arguments], check=True, capture_output=True, text=True).stdout


def steps(program, device, option, values):
    """[(value, seconds, flops, share of the ceiling)] of a training step."""
    listed = ",".join(map(str, values))
    out = json.loads(call(program, "bench", "training step", "--variant", "fp32", f"--{option}", listed, "--seconds", 1,
                          "--device", device, "--json"))
    return [(value, row["median_s"], row["flops"], row["ceiling_share"]) for value, row in zip(values, out["rows"])]


def epochs(program, device, counts):
    """The same of an epoch with given poses, 32 px, the second of two."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            data, run = Path(folder, f"set{count}"), Path(folder, f"run{count}")
            call(program, "simulate", MODEL, "-o", data, "--images", count, "--box", 32, "--snr", 1)
            call(program, "train", data / "particles.star", "-o", run, "--poses", "given", "--epochs", 2, "--no-window",
                 "--device", device)
            events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
            rows.append((count, [e["train_s"] for e in events if e.get("event") == "epoch"][-1], float(count), 0.0))
    return rows


def slope(rows, column):
    """Of the last half of a sweep, on logarithmic axes."""
    first, last = rows[(len(rows) - 1) // 2], rows[-1]
    return math.log(last[column] / first[column]) / math.log(last[0] / first[0])


def panel(title, rows, left, top, size=210):
    """Points with lines: measured times, and dashed what the flops alone would take, through the last point."""
    x = [math.log10(max(r[0], 1) + (1 if title.startswith("dim") else 0)) for r in rows]
    y = [math.log10(r[1]) for r in rows]
    ideal = [y[-1] + math.log10(r[2] / rows[-1][2]) for r in rows]
    x0, x1 = min(x) - 0.1, max(x) + 0.1
    y0, y1 = min(y + ideal) - 0.15, max(y + ideal) + 0.15
    at = lambda u, v: (left + 46 + (u - x0) / (x1 - x0) * size, top + 24 + (y1 - v) / (y1 - y0) * size)
    out = [f'<rect x="{left + 46}" y="{top + 24}" width="{size}" height="{size}" fill="none" stroke="#999"/>',
           f'<text x="{left + 46 + size / 2}" y="{top + 16}" text-anchor="middle">{title}</text>']
    for row, u in zip(rows, x):
        out.append(f'<text x="{at(u, y0)[0]:.1f}" y="{top + 40 + size}" text-anchor="middle">{row[0]}</text>')
    for power in range(math.ceil(y0), math.floor(y1) + 1):
        px, py = at(x0, power)
        out.append(f'<line x1="{px:.1f}" y1="{py:.1f}" x2="{px + size:.1f}" y2="{py:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{px - 4:.1f}" y="{py + 4:.1f}" text-anchor="end">{10.0 ** power:g} s</text>')
    for values, style in ((ideal, 'stroke="#999" stroke-dasharray="4 3"'), (y, 'stroke="#06c" stroke-width="2"')):
        points = " ".join("%.1f,%.1f" % at(u, v) for u, v in zip(x, values))
        out.append(f'<polyline points="{points}" fill="none" {style}/>')
    out += ['<circle cx="%.1f" cy="%.1f" r="3" fill="#06c"/>' % at(u, v) for u, v in zip(x, y)]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("-o", "--output", required=True, help="name of both files, without .md and .svg")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true", help="the first three sizes of each sweep")
    options = parser.parse_args()
    device = json.loads(call(options.program, "doctor", "--device", options.device, "--json"))
    text = [f"# How a training step grows, {datetime.date.today()}", "",
            f"Command: `python3 bench/scaling.py`, on {device['device']}, {device['processor']}. Dashed: the flops alone. "
            "Exponents are of the last half of a sweep, of the time and of the flops.", "",
            f"![times against sizes]({Path(options.output).name}.svg)", ""]
    drawing = []
    sweeps = [(option, title, values) for option, (title, values) in SWEEPS.items()] + [("images", *IMAGES)]
    for number, (option, title, values) in enumerate(sweeps):
        if options.quick:
            values = values[:3]
        rows = (epochs(options.program, options.device, values) if option == "images"
                else steps(options.program, options.device, option, values))
        drawing += panel(title, rows, number % 3 * 280, number // 3 * 280)
        what = "an epoch, 32 px" if option == "images" else "a step"
        text += [f"**{title}** (time of {what} ~ {option}^{slope(rows, 1):.2f}, flops ~ {option}^{slope(rows, 2):.2f})", "",
                 "| " + option + " | " + " | ".join(str(r[0]) for r in rows) + " |", "|---" * (len(rows) + 1) + "|",
                 "| time, ms | " + " | ".join(f"{1e3 * r[1]:.1f}" for r in rows) + " |"]
        if option != "images":
            text.append("| of the ceiling | " + " | ".join(f"{100 * r[3]:.0f} %" for r in rows) + " |")
        text.append("")
        print("\n".join(text[-5:]), flush=True)
    Path(options.output + ".svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 850 560" font-family="sans-serif" font-size="11">'
        '<rect width="850" height="560" fill="white"/>\n' + "\n".join(drawing) + "\n</svg>\n", encoding="utf-8")
    Path(options.output + ".md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
