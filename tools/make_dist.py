#!/usr/bin/env python3
"""Makes what is given away: a wheel for a Python, and an archive of command line, headers and C++ library.

    make_dist.py [--python PYTHON] [--build NAME] [--out FOLDER]

PYTHON has scikit-build-core and nanobind (default: this one); the wheel serves its version alone, or from 3.12 on
that and all later ones. NAME: the build folder is build/NAME-<python>. The same sources and packages give the same
bytes; times are those of the last commit, or SOURCE_DATE_EPOCH.
"""
import argparse
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_MB = 80  # of a wheel


def run(*command, **more):
    subprocess.run([str(c) for c in command], check=True, cwd=ROOT, **more)


def output(*command):
    return subprocess.run([str(c) for c in command], check=True, cwd=ROOT, text=True, stdout=subprocess.PIPE).stdout


def epoch_seconds():
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    return int(output("git", "log", "-1", "--format=%ct"))


def make_wheel(python, build, out):
    """The wheel in `out`, named for the oldest glibc that it runs with."""
    with tempfile.TemporaryDirectory() as folder:
        run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
            "--disable-pip-version-check", "-C", f"build-dir={build}", "-w", folder, "./python")
        (plain,) = Path(folder).glob("*.whl")
        # It refuses a wheel that needs libraries which not every Linux has.
        run(sys.executable, "-m", "auditwheel", "repair", "--patcher", "none", "-w", folder + "/named", plain)
        (wheel,) = Path(folder, "named").glob("*.whl")
        size_mb = wheel.stat().st_size / 1e6
        if size_mb > MOST_MB:
            sys.exit(f"make_dist: {wheel.name} has {size_mb:.0f} MB, more than {MOST_MB}")
        return Path(shutil.move(wheel, out / wheel.name))


def owner_free(epoch):
    """What an entry of an archive says, whoever made it and when."""

    def change(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = epoch
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    return change


def make_archive(build, out):
    version = re.search(r"project\(repose VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
    name = f"repose-{version}-x86_64"
    run("cmake", "--build", build, "--target", "repose_by_library", stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        run("cmake", "--install", build, "--component", "archive", "--strip", "--prefix", f"{folder}/{name}",
            stdout=subprocess.DEVNULL)
        archive = out / f"{name}.tar.xz"
        with lzma.open(archive, "wb", preset=6) as packed, \
                tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
            change = owner_free(epoch_seconds())
            for file in sorted([Path(folder, name), *Path(folder, name).rglob("*")]):
                tar.add(file, file.relative_to(folder), recursive=False, filter=change)
    return archive


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--build", default="wheel")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    args = parser.parse_args()
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch_seconds())
    os.environ.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count()))
    # By the names that CMake takes by itself: the compiler cache tells them apart. A Python may ask for others.
    os.environ.setdefault("CC", "cc")
    os.environ.setdefault("CXX", "c++")
    tag = output(args.python, "-c", "import sys; print(sys.implementation.cache_tag)").strip()
    build = ROOT / "build" / f"{args.build}-{tag}"
    args.out.mkdir(parents=True, exist_ok=True)
    for file in (make_wheel(args.python, build, args.out.resolve()), make_archive(build, args.out.resolve())):
        print(f"{file}  {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
