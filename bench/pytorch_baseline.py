#!/usr/bin/env python3
"""Trains the paper's decoder from given poses in PyTorch: the figure that `reconstruct train --poses given` is held to.

    /usr/bin/python3 bench/pytorch_baseline.py particles.star --epochs 3 --max-images 300 --lr 5e-4
    python3 bench/pytorch_baseline.py particles.star --device cuda --precision bf16 --compile

The method is the engine's: slices of the Hartley volume at R^T (x, y, 0), geometric positional encoding, a residual
ReLU decoder (input layer, `--layers` hidden ones relu(Wh + b + h), output layer), images shifted by their known
shift, mean squared error over the pixels 0 < |k| <= D/2, Adam, 10 images a batch. No CTF: for images without one.

The settings are the fastest found for eager PyTorch on a CPU, and each can be undone to see what it is worth:
  --residual folded   relu(h (W + I)^T + b): the same function and gradients, one pass over memory fewer;
                      inplace adds and rectifies in place; plain is what one would write first
  --chunk 1024        rows of the batch that go through the network at once, so that activations stay in the cache;
                      0 takes the whole batch (about 32,000 rows at D = 64)
  --split chunks      each thread takes chunks of its own; ops: PyTorch's threads share every operation
  --keep-memory       freed memory stays with the process instead of being faulted in again (glibc)
With --device cuda all images lie on the device, a batch goes through the network in one piece, and nothing waits for the
device within an epoch. --precision takes tf32 products, or automatic mixed precision in bf16 or fp16 (with gradients
scaled); --compile hands the network to PyTorch's compiler; --pad widens the encoding with zeros to whole multiples.
Images are shifted before the clock starts. Needs numpy and PyTorch 1.13 or newer (.ci/setup peers); 2.3 or newer for
--compile and --precision fp16.
"""

import argparse
import contextlib
import ctypes
import json
import math
import os
import resource
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional


def read_star(path):
    """Every data block of a STAR file as {block: {column: [text, ...]}}, for loops and for lone pairs."""
    blocks, block, columns = {}, None, None
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith("data_"):
            block, columns = blocks.setdefault(words[0], {}), None
        elif words[0] == "loop_":
            columns = []
        elif words[0].startswith("_") and columns is None:
            block[words[0]] = [words[1]]
        elif words[0].startswith("_"):
            columns.append(block.setdefault(words[0], []))
        else:
            if len(words) != len(columns):
                raise SystemExit(f"{path}: a row has {len(words)} fields, its loop has {len(columns)} columns: {line}")
            for column, word in zip(columns, words):
                column.append(word)
    return blocks


def read_stack(path):
    """A little-endian MRC stack of 32-bit floats, mapped: [images, y, x]."""
    header = np.fromfile(path, dtype="<i4", count=256)
    columns, rows, sections, mode = (int(value) for value in header[:4])
    if mode != 2 or rows != columns:
        raise SystemExit(f"{path}: mode {mode}, {columns} x {rows} pixels; this script reads square images of mode 2")
    return np.memmap(path, dtype="<f4", mode="r", offset=1024 + int(header[23]), shape=(sections, rows, columns))


def rotations(rot_deg, tilt_deg, psi_deg):
    """RELION's A(rot, tilt, psi) as [images, 3, 3]: turns the reference into the frame of the image."""

    def turn(angle_deg, first, second):
        matrix = np.tile(np.eye(3), (len(angle_deg), 1, 1))
        cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
        matrix[:, first, first] = matrix[:, second, second] = cosine
        matrix[:, first, second], matrix[:, second, first] = sine, -sine
        return matrix

    return turn(psi_deg, 0, 1) @ turn(tilt_deg, 2, 0) @ turn(rot_deg, 0, 1)


def load(star, max_images):
    """Images [N, D, D], rotations [N, 3, 3] and shifts [N, 2] in pixels that centre the images."""
    blocks = read_star(star)
    table = max((b for name, b in blocks.items() if "_rlnImageName" in b), key=lambda b: len(b["_rlnImageName"]))
    count = min(max_images or len(table["_rlnImageName"]), len(table["_rlnImageName"]))

    def column(name):
        return np.array(table[name][:count], dtype=np.float64)

    stacks, images = {}, []
    for name in table["_rlnImageName"][:count]:
        index, _, file = name.partition("@")
        if file not in stacks:
            stacks[file] = read_stack(Path(star).parent / file)
        images.append(np.array(stacks[file][int(index) - 1]))
    if "_rlnOriginXAngst" in table:
        optics = blocks["data_optics"]
        pixel_angstrom = dict(zip(optics["_rlnOpticsGroup"], optics["_rlnImagePixelSize"]))
        step = np.array([float(pixel_angstrom[group]) for group in table["_rlnOpticsGroup"][:count]])
        shifts = np.stack([column("_rlnOriginXAngst") / step, column("_rlnOriginYAngst") / step], axis=1)
    else:
        shifts = np.stack([column("_rlnOriginX"), column("_rlnOriginY")], axis=1)
    return np.stack(images), rotations(*(column(f"_rlnAngle{axis}") for axis in ("Rot", "Tilt", "Psi"))), shifts


def lattice(box):
    """The pixels 0 < |k| <= D/2 of the (D+1) x (D+1) lattice: which they are, and (kx, ky) in cycles a pixel."""
    steps = np.arange(box + 1) - box // 2
    ky, kx = np.meshgrid(steps, steps, indexing="ij")
    square = kx**2 + ky**2
    mask = (square > 0) & (square <= (box // 2) ** 2)
    return mask, np.stack([kx[mask], ky[mask]], axis=1) / box


def hartley_pixels(images, shifts, mask, frequencies):
    """Hartley transforms, scaled to unit deviation, moved by the shifts and gathered over the mask: [N, pixels]."""
    axes = (1, 2)
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes=axes), axes=axes), axes=axes)
    transform = spectrum.real - spectrum.imag
    transform /= transform.std()
    transform = np.concatenate([transform, transform[:, :1]], axis=1)  # the other Nyquist row and column
    transform = np.concatenate([transform, transform[:, :, :1]], axis=2)[:, mask]
    phase = 2 * math.pi * shifts @ frequencies.T
    # The mask is even and listed in order, so the pixel -k is found at the mirrored place.
    return (np.cos(phase) * transform + np.sin(phase) * transform[:, ::-1]).astype(np.float32)


def encode(coordinates, box, columns):
    """Waves of lengths 1 ... 2/D, geometrically spaced: [rows, 3] -> [rows, 6 (D/2)], sines before cosines an axis, and
    zeros up to `columns`."""
    count = box // 2
    steps = torch.arange(count, dtype=torch.float32, device=coordinates.device)
    angles = coordinates.unsqueeze(-1) * (math.pi * box * (2 / box) ** (steps / (count - 1)))
    encoded = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)
    return functional.pad(encoded, (0, columns - encoded.shape[1])) if columns > encoded.shape[1] else encoded


class NoScaler:
    """Stands where torch.amp.GradScaler is not wanted."""

    def scale(self, loss):
        return loss

    def step(self, optimizer):
        optimizer.step()

    def update(self):
        pass


class Decoder(nn.Module):
    def __init__(self, inputs, width, layers, residual):
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.last = nn.Linear(width, 1)
        self.residual = residual
        self.register_buffer("identity", torch.eye(width))

    def weights(self):
        """The hidden weights as used in a step: folded once a batch, not once a chunk."""
        return [h.weight + self.identity if self.residual == "folded" else h.weight for h in self.hidden]

    def forward(self, encoded, weights):
        h = self.first(encoded).relu_()
        for layer, weight in zip(self.hidden, weights):
            if self.residual == "folded":
                h = functional.linear(h, weight, layer.bias).relu_()
            elif self.residual == "inplace":
                h = functional.linear(h, weight, layer.bias).add_(h).relu_()
            else:
                h = torch.relu(functional.linear(h, weight, layer.bias) + h)
        return self.last(h).squeeze(-1)


def train_step(model, network, optimizer, scaler, cast, plane, turns, targets, box, chunk, run_all=map):
    """One Adam step on [batch, 3, 3] rotations and [batch, pixels] targets; returns the loss before it. `network` is the
    model, or what a compiler made of it."""
    with torch.no_grad():
        rows = (plane @ turns[:, :2, :]).flatten(0, 1)  # (x, y) times the first two rows of R: R^T (x, y, 0)
        targets = targets.flatten()
    optimizer.zero_grad(set_to_none=True)
    # Chunks share the folded weights: their gradients gather in detached leaves and go on to the parameters once.
    folded = model.weights()
    leaves = [weight.detach().requires_grad_() for weight in folded]

    def run(first):
        part = slice(first, first + (chunk or len(rows)))
        with torch.no_grad():
            encoded = encode(rows[part], box, model.first.in_features)
        with cast():
            out = network(encoded, leaves)
        loss = functional.mse_loss(out.float(), targets[part], reduction="sum") / len(rows)
        scaler.scale(loss).backward()
        return loss.detach()

    total = sum(run_all(run, range(0, len(rows), chunk or len(rows))))
    torch.autograd.backward(folded, [leaf.grad for leaf in leaves])
    scaler.step(optimizer)
    scaler.update()
    return total


def keep_freed_memory():
    trim_threshold, mmap_threshold = -1, -3
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, 2**31 - 1)


def use_threads(count, split):
    """How a step maps its work over chunks; sets the threads that one operation may use."""
    inner = count if split == "ops" else 1
    torch.set_num_threads(inner)
    try:  # an OpenBLAS with threads of its own does not listen to PyTorch
        ctypes.CDLL("libblas.so.3").openblas_set_num_threads(inner)
    except (OSError, AttributeError):
        pass
    return map if inner == count else ThreadPoolExecutor(count).map


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("star", help="RELION STAR with angles and origins; its stack lies where the STAR says")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--max-images", type=int, default=0, help="only the first so many (0: all)")
    parser.add_argument("--layers", type=int, default=10, help="hidden residual layers (default: %(default)s)")
    parser.add_argument("--width", type=int, default=128, help="their width (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=10, help="images a step (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=1e-4, help="Adam's step size (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16", "fp16"), default="fp32")
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--pad", type=int, default=1, help="columns of the encoding: multiples of it (default: 1)")
    parser.add_argument("--residual", choices=("folded", "inplace", "plain"), default="folded")
    parser.add_argument("--split", choices=("chunks", "ops"), help="(default: chunks; with cuda: ops)")
    parser.add_argument("--chunk", type=int, help="rows at once, 0: all (default: 1024; with cuda: 0)")
    parser.add_argument("--keep-memory", type=int, choices=(0, 1), default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args()
    on_cpu = options.device == "cpu"
    options.split = options.split or ("chunks" if on_cpu else "ops")
    options.chunk = options.chunk if options.chunk is not None else 1024 if on_cpu else 0
    if on_cpu and options.precision in ("tf32", "fp16"):
        parser.error(f"--precision {options.precision} is for --device cuda")
    return options


def main():
    options = arguments()
    if options.keep_memory:
        keep_freed_memory()
    run_all = use_threads(options.threads, options.split)
    torch.set_flush_denormal(True)
    torch.manual_seed(options.seed)

    images, turns, shifts = load(options.star, options.max_images)
    box = images.shape[1]
    mask, frequencies = lattice(box)
    device = torch.device(options.device)
    targets = torch.from_numpy(hartley_pixels(images, shifts, mask, frequencies)).to(device)
    turns = torch.from_numpy(turns.astype(np.float32)).to(device)
    plane = torch.from_numpy(frequencies.astype(np.float32)).to(device)
    inputs = -(-6 * (box // 2) // options.pad) * options.pad
    model = Decoder(inputs, options.width, options.layers, options.residual).to(device)
    network = torch.compile(model) if options.compile else model
    optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)
    torch.backends.cuda.matmul.allow_tf32 = options.precision == "tf32"
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(options.precision)
    scaler = torch.amp.GradScaler() if options.precision == "fp16" else NoScaler()

    def cast():
        return torch.autocast(options.device, half) if half else contextlib.nullcontext()

    seconds, cpu_seconds, losses = [], [], []
    for epoch in range(options.epochs):
        start, cpu_start, total = time.perf_counter(), time.process_time(), 0.0
        for batch in torch.randperm(len(targets), device=device).split(options.batch):
            loss = train_step(model, network, optimizer, scaler, cast, plane, turns[batch], targets[batch], box,
                              options.chunk, run_all)
            total = total + loss * len(batch)
        total = float(total)  # waits for the device
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
        losses.append(total / len(targets))
        if not options.json:
            print(f"epoch {epoch + 1}: loss {losses[-1]:.5f}, {seconds[-1]:.2f} s, "
                  f"CPU {cpu_seconds[-1]:.2f} s", flush=True)

    result = {
        "torch": torch.__version__, "threads": options.threads, "split": options.split,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "precision": options.precision, "compiled": options.compile, "inputs": inputs,
        "residual": options.residual, "chunk": options.chunk,
        "images": len(targets), "box": box, "pixels_per_image": int(mask.sum()),
        "layers": options.layers, "width": options.width, "batch": options.batch, "lr": options.lr,
        "loss": losses, "seconds_per_epoch": seconds, "cpu_seconds_per_epoch": cpu_seconds,
        "seconds_per_1000_images": 1000 * statistics.median(seconds) / len(targets),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "load_average": os.getloadavg(),
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{result['seconds_per_1000_images']:.1f} s per 1,000 images (median epoch), "
              f"peak {result['peak_rss_mib']:.0f} MiB, torch {torch.__version__}, {options.threads} threads, "
              f"load average {result['load_average'][0]:.2f}")


if __name__ == "__main__":
    main()
