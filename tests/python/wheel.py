#!/usr/bin/env python3
"""What `./dev wheel` makes, where there is no compiler: a root of Debian with Python and nothing else.

    wheel.py [TEST…]      as root (it uses chroot); the root is kept in build/wheel-root

README's examples run there as they are written. The archive is unpacked elsewhere; its examples are compiled here,
and run there. A second build in another folder has to have the same bytes.
"""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np
from reference import Reference

REPO = Path(__file__).resolve().parents[2]
DIST = REPO / "dist"
ROOT = REPO / "build" / "wheel-root"
WORK = Path("/opt/repose")  # within the root
MIRROR = "http://deb.debian.org/debian"
ABSENT = ["cc", "gcc", "g++", "c++", "clang", "ld", "ld.lld", "lld", "as", "llvm-config", "cmake", "ninja"]
WHEEL_SECONDS = 60  # to install it and run README's first example
# What a program may load besides Repose: glibc and libstdc++.
SYSTEM = {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libstdc++.so.6", "libgcc_s.so.1", "libdl.so.2",
          "libpthread.so.0", "librt.so.1"}


def run(*command, **more):
    """Runs a command and returns what it prints; a failure shows it."""
    done = subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def in_root(script, *arguments):
    """Runs a shell script in the root, in its folder WORK, with an environment of its own and no network."""
    mounts = f"mount -t proc proc {ROOT}/proc && exec chroot {ROOT} /usr/bin/env -i HOME=/root PATH=/usr/bin:/bin " \
             f"sh -euc \"cd {WORK}; $0\" sh \"$@\""
    return run("unshare", "--mount", "--net", "sh", "-c", mounts, script, *arguments)


def make_root():
    if not (ROOT / "etc" / "debian_version").exists():
        run("debootstrap", "--variant=minbase", "--include=python3,python3-venv", "bookworm", ROOT, MIRROR)
    work = ROOT / WORK.relative_to("/")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return work


def blocks(file, language):
    """The blocks of code of a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (REPO / file).read_text(), re.M | re.S)


def commands(file):
    """The lines of the indented blocks of a page."""
    return [line.strip() for line in re.findall(r"^    \S.*$", Path(file).read_text(), re.M)]


def needed(program):
    """The libraries that a program or a library names."""
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", program)))


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def one(pattern, folder=DIST):
    files = sorted(folder.glob(pattern))
    if len(files) != 1:
        raise AssertionError(f"{folder}/{pattern}: {len(files)} files, expected 1")
    return files[0]


def wheel():
    """The one for this Python."""
    return one(f"repose_compiler-*-cp{sys.version_info[0]}{sys.version_info[1]}-*.whl")


CALL_FLATTEN_RELU = """
import numpy as np
import repose
model = repose.build(FlattenRelu)
for rows in (0, 1, 2, 7, 64):
    b = np.random.default_rng(rows).standard_normal((rows, 224)).astype("float32")
    np.testing.assert_array_equal(model(b), np.maximum(b, 0).ravel())
"""
BEFORE_MINILM = """
import numpy as np
feeds = np.load("feeds.npz")
input_ids, attention_mask = feeds["input_ids"], feeds["attention_mask"]
"""
AFTER_MINILM = """
assert np.abs(hidden - feeds["hidden"]).max() <= 1e-4 * np.abs(feeds["hidden"]).max()
loaded = repose.load("minilm.so")
assert np.array_equal(loaded(input_ids[:1, :3], attention_mask[:1, :3]), model(input_ids[:1, :3], attention_mask[:1, :3]))
"""


class WheelTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = make_root()
        # What pip would fetch.
        shutil.copy(wheel(), cls.work)
        run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", cls.work,
            f"numpy=={np.__version__}")
        script = blocks("README.md", "python")[0] + CALL_FLATTEN_RELU
        (cls.work / "first.py").write_text(script)
        started = time.monotonic()
        in_root("python3 -m venv env; env/bin/pip install -q --no-index --find-links . repose-compiler numpy; "
                "env/bin/python first.py")
        cls.seconds = time.monotonic() - started

    def test_nothing_else_is_there(self):
        found = in_root("for name in " + " ".join(ABSENT) + "; do command -v $name || true; done")
        self.assertEqual(found, "")
        self.assertEqual(list(ROOT.glob("usr/lib/**/libLLVM*")), [])

    def test_installed_and_run_soon(self):
        self.assertLess(self.seconds, WHEEL_SECONDS)

    def test_readme_in_python(self):
        reference = Reference("minilm")
        feeds = reference.feeds({"batch": 3, "seq": 17})
        np.savez(self.work / "feeds.npz", hidden=reference.run(feeds)[0], **feeds)
        shutil.copy(reference.path, self.work / "minilm.onnx")
        (self.work / "minilm.py").write_text(BEFORE_MINILM + blocks("README.md", "python")[1] + AFTER_MINILM)
        in_root("env/bin/python minilm.py")

    def test_example_of_the_package(self):
        shutil.copy(REPO / "examples" / "python" / "package.py", self.work)
        in_root("env/bin/python package.py")

    def test_command_line(self):
        shutil.copy(REPO / "examples" / "models" / "flatten_relu.relax", self.work)
        in_root("PATH=$PWD/env/bin:$PATH; repose compile flatten_relu.relax -o line.so; "
                "repose run line.so --input b=2x224xf32:ones --output results")
        result = np.load(one("results/*.npy", self.work))
        np.testing.assert_array_equal(result, np.ones(448, np.float32))

    def test_what_is_loaded(self):
        for file in ("env/bin/repose", str(one("env/lib/python3*/site-packages/repose/_repose*.so", self.work))):
            self.assertLessEqual(needed(self.work / file), SYSTEM, file)

    def test_licences(self):
        folder = one("env/lib/python3*/site-packages/repose_compiler-*.dist-info/licenses", self.work)
        self.assertEqual({f.name for f in folder.iterdir()}, {"LICENSE", "nanobind.txt", "third_party.txt"})

    def test_removed_without_a_trace(self):
        in_root("python3 -m venv other; other/bin/pip install -q --no-index --find-links . --no-deps repose-compiler; "
                "other/bin/pip uninstall -q -y repose-compiler")
        self.assertEqual([f for f in (self.work / "other").rglob("*repose*")], [])


class ArchiveTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = make_root()
        (cls.work / "any where").mkdir()
        run("tar", "-xf", one("repose-*-x86_64.tar.xz"), "-C", cls.work / "any where")
        cls.folder = one("repose-*-x86_64", cls.work / "any where")

    def test_its_own_commands(self):
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
        lines = commands(self.folder / "README.md")
        self.assertGreater(len(lines), 4)
        for line in lines:
            run("bash", "-euc", line, cwd=self.folder, env=environment)
        # What was compiled here runs where there is no compiler.
        place = "/" + str(self.folder.relative_to(ROOT))
        in_root(f"cd '{place}'; ./load ./flatten_relu.so; LD_LIBRARY_PATH=lib ./build_and_run built.so; "
                "bin/repose inspect built.so")

    def test_readme_in_c(self):
        run(self.folder / "bin/repose", "compile", "examples/models/flatten_relu.relax", "-o", "flatten_relu.so",
            cwd=self.folder)
        (self.folder / "main.c").write_text(blocks("README.md", "c")[0])
        run("cc", "-Wall", "-Werror", "-I", "include", "main.c", "-o", "main", cwd=self.folder)
        self.assertEqual(run("./main", cwd=self.folder, env={"LD_LIBRARY_PATH": "."}), "448 elements\n")

    def test_found_by_cmake(self):
        (self.folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.20)\nproject(app CXX)\nfind_package(repose 0.1 REQUIRED)\n"
            "add_executable(app examples/cpp/schedule_by_hand.cpp)\n"
            "target_link_libraries(app PRIVATE repose::repose ${CMAKE_DL_LIBS})\n")
        run("cmake", "-S", ".", "-B", "app", f"-DCMAKE_PREFIX_PATH={self.folder}", cwd=self.folder)
        run("cmake", "--build", "app", cwd=self.folder)
        run("app/app", "scheduled.so", cwd=self.folder)

    def test_what_is_loaded(self):
        library = one("lib/librepose.so.*", self.folder)
        self.assertLessEqual(needed(library), SYSTEM)
        self.assertLessEqual(needed(self.folder / "bin" / "repose"), SYSTEM | {library.name})

    def test_only_its_own_names_are_seen(self):
        names = run("nm", "-DC", "--defined-only", one("lib/librepose.so.*", self.folder))
        self.assertIn(" repose::compile(", names)
        self.assertEqual(re.findall(r"\b(?:llvm|lld|fmt)::.*", re.sub(r"repose::.*", "", names)), [])


class ReproducibleTest(unittest.TestCase):
    def test_same_bytes_from_another_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            run(sys.executable, "tools/make_dist.py", "--build", "again", "--out", folder, cwd=REPO)
            for file in (wheel(), one("repose-*-x86_64.tar.xz")):
                self.assertEqual(digest(Path(folder) / file.name), digest(file), file.name)
        shutil.rmtree(REPO / "build" / f"again-{sys.implementation.cache_tag}")


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("wheel.py: it uses chroot: run it as root")
    unittest.main(verbosity=2)
