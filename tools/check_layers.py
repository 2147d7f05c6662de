#!/usr/bin/env python3
"""Checks the layers of the project (docs/architecture.md, "Layers") from the include lines.

    check_layers.py [ROOT]        prints one line for each include that breaks a rule
    check_layers.py --self-test

A folder of src/ includes only itself and folders above it in LAYERS. What is not in src/ has the
rules of `allowed` below. Some libraries belong to one folder each (OWNERS).
"""
import re
import sys
import tempfile
from pathlib import Path

LAYERS = [
    "base",
    "expr",
    "ir",
    "script",
    "te",
    "ops",
    "interp",
    "passes",  # what the three kinds of pass share
    "passes/graph",
    "passes/lower",
    "passes/tensor",
    "schedule",
    "memory",
    "host",
    "codegen/llvm",
    "frontend/common",
    "frontend/onnx",
    "frontend/torch",
    "frontend/relay",
    "driver",
]

# A layer → layers above it that it must not see all the same.
BLIND = {"codegen/llvm": {"ops", "passes", "passes/graph", "passes/lower", "passes/tensor", "te"}}

# The beginning of a library's headers → the only places that include them.
OWNERS = {
    "llvm/": {"codegen/llvm"},
    "llvm-c/": {"codegen/llvm"},
    "lld/": {"codegen/llvm"},
    "protozero/": {"frontend/onnx"},
    "CLI/": {"tools"},
}

# What generated code and the compiler agree on: all that src/ sees of runtime/, in codegen alone.
RUNTIME_CONTRACT = {"abi.h", "runtime_blob.h"}

# The interpreter calls the same packed functions as compiled models do (docs/adr/0060).
SEES_C_INTERFACE = {"ir", "interp"}

FREE = {"tools", "python", "tests", "bench", "fuzz", "examples"}  # above every library
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def layer_of(path):
    """The layer of a file, by its path from the root: "ir", "passes/graph", "runtime", "repose.h",
    "compiler.hpp", or one of FREE. None where it has no place."""
    parts = path.split("/")
    if parts[0] == "src":
        for depth in (2, 1):
            if (name := "/".join(parts[1 : 1 + depth])) in LAYERS and len(parts) > 1 + depth:
                return name
        return None
    if parts[:2] == ["include", "repose"]:
        return parts[-1]
    return parts[0] if parts[0] in FREE | {"runtime"} else None


def allowed(source, target, header):
    """Whether a file of the layer `source` may include `header` of the layer `target`."""
    if source == target or source in FREE:
        return True
    if source == "repose.h":  # includes nothing of the project
        return False
    if source == "runtime":
        return target == "repose.h"
    if target == "runtime":
        return source == "codegen/llvm" and Path(header).name in RUNTIME_CONTRACT
    if target in FREE:
        return False
    if target == "compiler.hpp":
        return source == "driver"
    if target == "repose.h":
        return source in ("driver", "compiler.hpp") or source in SEES_C_INTERFACE
    if source == "compiler.hpp":
        return True
    if target in BLIND.get(source, ()):
        return False
    return LAYERS.index(target) < LAYERS.index(source)


def resolve(root, includer, header):
    """The path from the root of the project's file that an include line names, or None."""
    if Path(header).name == "runtime_blob.h":  # made by the build
        return "runtime/runtime_blob.h"
    for folder in (includer.parent, root / "src", root / "include", root, root / "runtime"):
        path = (folder / header).resolve()
        if path.is_file() and path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return None


def check_file(root, path):
    name = path.relative_to(root).as_posix()
    source = layer_of(name)
    if source is None:
        return [f"{name}:1: is in no layer; the layers are listed in tools/check_layers.py"]
    wrong = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if not (match := INCLUDE.match(line)):
            continue
        quote, header = match.groups()
        where = f"{name}:{number}: `{source}`"
        for prefix, owners in OWNERS.items():
            if header.startswith(prefix) and source not in owners | FREE - {"tools"}:
                wrong.append(f"{where} includes <{header}>, which only `{min(owners)}` may")
        found = resolve(root, path, header)
        target = found and layer_of(found)
        if target and not allowed(source, target, header):
            wrong.append(f"{where} includes `{header}` of `{target}`, which it must not see")
        if quote == '"' and not found and source in LAYERS:
            wrong.append(f"{where} includes `{header}`, which does not exist")
    return wrong


def check(root):
    folders = [root / name for name in ("src", "runtime", "include", *sorted(FREE))]
    files = [path for f in folders for path in sorted(f.rglob("*")) if path.suffix in SUFFIXES]
    return files, [line for path in files for line in check_file(root, path)]


SUFFIXES = {".h", ".hpp", ".cpp", ".c", ".def"}


def self_test():
    """Each line: a file, what it includes, whether that is fine."""
    cases = [
        ("src/ir/type.h", "expr/expr.h", True),
        ("src/ir/type.h", "ir/type.h", True),
        ("src/expr/expr.h", "ir/type.h", False),
        ("src/passes/graph/fuse.cpp", "passes/pass.h", True),
        ("src/passes/graph/fuse.cpp", "passes/tensor/simplify.h", False),
        ("src/passes/tensor/simplify.h", "passes/graph/fuse.h", True),
        ("src/codegen/llvm/emit.cpp", "runtime/abi.h", True),
        ("src/codegen/llvm/emit.cpp", "runtime_blob.h", True),
        ("src/codegen/llvm/emit.cpp", "runtime/pool.h", False),
        ("src/codegen/llvm/emit.cpp", "ops/ops.h", False),
        ("src/host/lower.cpp", "runtime/abi.h", False),
        ("src/host/lower.cpp", "llvm/IR/Module.h", False),
        ("src/codegen/llvm/emit.cpp", "llvm/IR/Module.h", True),
        ("src/ir/type.h", "ir/missing.h", False),
        ("src/stray.h", "ir/type.h", False),
        ("runtime/pool.cpp", "repose/repose.h", True),
        ("runtime/pool.cpp", "base/ref.h", False),
        ("include/repose/repose.h", "base/ref.h", False),
        ("include/repose/compiler.hpp", "driver/compile.h", True),
        ("src/driver/compile.h", "repose/compiler.hpp", True),
        ("src/ir/type.h", "repose/compiler.hpp", False),
        ("tools/repose/main.cpp", "driver/compile.h", True),
        ("tools/repose/main.cpp", "llvm/IR/Module.h", False),
        ("src/driver/compile.cpp", "support/text.h", True),  # no file of the layers; a stranger's
    ]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        headers = "expr/expr ir/type base/ref passes/pass passes/graph/fuse passes/tensor/simplify"
        for header in (headers + " ops/ops driver/compile").split():
            (root / "src" / header).parent.mkdir(parents=True, exist_ok=True)
            (root / "src" / f"{header}.h").touch()
        for header in ("runtime/abi.h", "runtime/pool.h"):
            (root / header).parent.mkdir(parents=True, exist_ok=True)
            (root / header).touch()
        (root / "include/repose").mkdir(parents=True)
        for header in ("repose.h", "compiler.hpp"):
            (root / "include/repose" / header).touch()
        failed = 0
        for name, header, fine in cases:
            path = root / name
            before = path.read_text() if path.exists() else None
            path.parent.mkdir(parents=True, exist_ok=True)
            mark = "<>" if header.startswith(("llvm", "support")) else '""'
            path.write_text(f"#include {mark[0]}{header}{mark[1]}\n")
            wrong = check_file(root, path)
            if bool(wrong) == fine:
                failed += 1
                print(f"self-test: {name} including {header}: expected {fine}, got {wrong}")
            path.unlink() if before is None else path.write_text(before)
    print(f"check_layers --self-test: {len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    root = Path(arguments[0] if arguments else Path(__file__).parents[1]).resolve()
    files, wrong = check(root)
    for line in wrong:
        print(line)
    print(f"layers: {len(files)} files, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
