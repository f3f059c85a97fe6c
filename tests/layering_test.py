#!/usr/bin/env python3
"""Holds every #include to the arrows of the layers, and every file to its size.

    python3 tests/layering_test.py [ROOT]

Rules (the left side may include only itself and the right side):
    apps      engine, io, kernels/runtime (to create a Device), bench/bench.h
    engine    autodiff, io, kernels
    autodiff  kernels
    kernels   -          an operation's *_cpu and *_cuda headers stay in its folder, in the tables of kernels/ itself and
                         in variants/, which may join operations
    io        -
Nobody else includes apps, tests or bench, except that tests and bench may include anything. variants/ is for tests and
bench only. Project headers are named from the root of the tree. No file is longer than 400 lines.

Before the tree is judged, each rule is shown to catch a planted violation. Needs nothing but the standard library.
"""

import re
import sys
import tempfile
from pathlib import Path, PurePosixPath

MAX_LINES = 400
LAYERS = {
    "apps": ("engine", "io", "kernels/runtime", "bench/bench.h"),
    "engine": ("autodiff", "io", "kernels"),
    "autodiff": ("kernels",),
    "kernels": (),
    "io": (),
}
FREE = ("tests", "bench")  # may include anything
FOLDERS = (*LAYERS, *FREE, "data")
CXX = {".h", ".hpp", ".cuh", ".cpp", ".cu", ".inl"}
SIZED = CXX | {".py", ".sh", ".cmake"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
INTERNAL = re.compile(r"_(cpu|cuda)(_\w+)?\.\w+$")


def inside(path, folder):
    return path == folder or path.startswith(folder + "/")


def operation(path):
    """The operation's folder of a file below kernels/, or None: kernels/linear/gemm_cpu.h -> kernels/linear."""
    parts = PurePosixPath(path).parts
    return "/".join(parts[:2]) if parts[0] == "kernels" and len(parts) > 2 else None


def broken_rule(source, target, quoted):
    """The rule that including `target` in the file `source` breaks, or None. Both are relative to the root."""
    layer = PurePosixPath(source).parts[0]
    top = PurePosixPath(target).parts[0]
    if top not in FOLDERS:
        if quoted:
            return 'project headers are named from the root ("layer/..."), others stand in <>'
        return None
    if ".." in PurePosixPath(target).parts:
        return "project headers are named from the root, without '..'"
    if layer in FREE:
        return None
    allowed = (layer, *LAYERS[layer])
    if top not in LAYERS and target not in allowed:
        return f"nobody includes {top}"
    if not any(inside(target, folder) for folder in allowed):
        return f"{layer} may include only {', '.join(allowed)}"
    if "variants" in PurePosixPath(target).parts and "variants" not in PurePosixPath(source).parts:
        return "variants/ is for tests and bench"
    home = operation(target)
    if home and home != "kernels/runtime" and INTERNAL.search(target):
        joins = layer == "kernels" and (operation(source) is None or "variants" in PurePosixPath(source).parts)
        if operation(source) != home and not joins:
            return f"{PurePosixPath(target).name} is internal to {home}"
    return None


def sources(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and (path.suffix in SIZED or path.name == "CMakeLists.txt"):
                yield path
    if (root / "CMakeLists.txt").is_file():
        yield root / "CMakeLists.txt"


def check(root):
    """Returns (complaints, number of files, number of project includes)."""
    complaints, files, includes = [], 0, 0
    for path in sources(root):
        name = path.relative_to(root).as_posix()
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        files += 1
        if len(lines) > MAX_LINES:
            complaints.append(f"{name}:{MAX_LINES + 1}: {len(lines)} lines: a file has at most {MAX_LINES}")
        if path.suffix not in CXX:
            continue
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(2).strip()
            rule = broken_rule(name, target, match.group(1) == '"')
            includes += PurePosixPath(target).parts[0] in FOLDERS
            if rule:
                complaints.append(f"{name}:{number}: includes {target}: {rule}")
    return complaints, files, includes


# file, its text, and what the complaint must contain (None: none is allowed)
PLANTED = [
    ("apps/train.cpp", '#include "engine/train/trainer.h"\n#include "io/star.h"\n', None),
    ("apps/device.cpp", '#include "kernels/runtime/device.h"\n#include <CLI/CLI.hpp>\n', None),
    ("apps/bench.cpp", '#include "bench/bench.h"\n', None),
    ("apps/timer.cpp", '#include "bench/timer.h"\n', "nobody includes bench"),
    ("apps/kernel.cpp", '\n#include "kernels/linear/linear.h"\n', "apps/kernel.cpp:2: includes kernels/linear"),
    ("apps/tape.cpp", '#include "autodiff/tape.h"\n', "apps may include only apps, engine, io, kernels/runtime, bench/bench.h"),
    ("engine/model.h", '#include "autodiff/tape.h"\n#include "kernels/linear/linear.h"\n', None),
    ("engine/ui.h", '#  include "apps/cli.h"\n', "engine may include only"),
    ("engine/internals.cpp", '#include "kernels/linear/gemm_cpu.h"\n', "gemm_cpu.h is internal to kernels/linear"),
    ("autodiff/file.cpp", '#include "io/mrc.h"\n', "autodiff may include only autodiff, kernels"),
    ("autodiff/up.cpp", '#include "engine/model.h"\n', "autodiff may include only autodiff, kernels"),
    ("kernels/linear/linear_cpu.cpp", '#include "kernels/linear/gemm_cpu.h"\n', None),
    ("kernels/pose/pose.h", '#include "kernels/linear/linear.h"\n', None),
    ("kernels/pose/pose_cpu.cpp", '#include "kernels/linear/gemm_cpu.h"\n', "gemm_cpu.h is internal to kernels/linear"),
    ("kernels/ops_cpu.cpp", '#include "kernels/linear/gemm_cpu.h"\n', None),
    ("kernels/format.cpp", "#include <io/mrc.h>\n", "kernels may include only kernels"),
    ("kernels/pose/variants/both_cuda.cu", '#include "kernels/linear/gemm_cuda.h"\n', None),
    ("kernels/linear/old.cpp", '#include "kernels/linear/variants/1_naive.h"\n', "variants/ is for tests and bench"),
    ("kernels/linear/near.cpp", '#include "linear.h"\n', "named from the root"),
    ("io/device.cpp", '#include "kernels/runtime/device.h"\n', "io may include only io"),
    ("io/dots.cpp", '#include "io/../kernels/ops.h"\n', "without '..'"),
    ("io/oracle.cpp", '#include "tests/reference/mrc.h"\n', "nobody includes tests"),
    ("io/timer.cpp", '#include "bench/timer.h"\n', "nobody includes bench"),
    ("tests/io/mrc_test.cpp", '#include "kernels/linear/variants/1_naive.h"\n#include "bench/timer.h"\n', None),
    ("io/full.cpp", "//\n" * MAX_LINES, None),
    ("io/long.cpp", "//\n" * (MAX_LINES + 1), "io/long.cpp:401: 401 lines"),
    ("data/long.py", "#\n" * (MAX_LINES + 1), "data/long.py:401: 401 lines"),
]


def failed_self_tests():
    """Plants every case alone in a fresh tree; returns what went unnoticed or was accused wrongly."""
    failures = []
    for name, text, expected in PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
            complaints, files, _ = check(Path(folder))
        caught = len(complaints) == 1 and expected is not None and expected in complaints[0]
        if files != 1 or (complaints if expected is None else not caught):
            failures.append(f"self-test {name}: expected {expected!r}, got {complaints}")
    return failures


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    complaints, files, includes = check(root)
    complaints = failed_self_tests() + complaints
    if includes == 0:
        complaints.append(f"{root}: no project include was found; is this the root of the tree?")
    for complaint in complaints:
        print(complaint)
    print(f"layering: {files} files, {includes} project includes, {len(PLANTED)} planted cases, "
          f"{len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
