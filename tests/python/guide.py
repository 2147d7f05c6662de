"""Runs what the pages of docs/guide show, and compares what it prints.

    guide.py [--write] PAGE…      --write: puts what is printed into the pages

The blocks of a page run one after the other in an empty folder:

    python, with `>>>`    an interpreter that all blocks of the page share, as doctest has it
    console, with `$`     the shell's commands, with `repose` and `python` on PATH
    any, whose first line is a comment with a file's name alone: that file

In what is printed, "..." stands for anything, and spaces count as one.
"""
from __future__ import annotations

import contextlib
import doctest
import io
import linecache
import os
import re
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs/guide"
PACKAGE = ROOT / "build/release/python"
sys.path.insert(0, str(PACKAGE))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^(>>> .*\n(?:\.\.\..*\n)*)((?:(?!>>> ).*\n)*)", re.MULTILINE)
FILE = re.compile(r"^(?:#|//|/\*) (\S+\.\w+)(?: \*/)?$")


class Page:
    """One page that runs."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = path, folder
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.wrong: list[str] = []
        self.ran = 0

    def run(self) -> str:
        """Its text, with what was printed."""
        return FENCE.sub(self._run_block, self.path.read_text())

    def _run_block(self, match: re.Match[str]) -> str:
        language, text = match.groups()
        name = FILE.match(text.partition("\n")[0])
        if name:
            (self.folder / name[1]).write_text(text)
        elif language == "console":
            text = self._run_commands(text)
        elif language == "python" and text.startswith(">>>"):
            text = self._run_examples(text)
        return f"```{language}\n{text}```"

    def _compare(self, source: str, wanted: str, got: str) -> str:
        self.ran += 1
        if doctest.OutputChecker().check_output(wanted, got, FLAGS):
            return wanted
        self.wrong.append(f"{self.path.relative_to(ROOT)}: {source.strip()}\n  expected:\n{wanted}  printed:\n{got}")
        return got

    def _run_commands(self, text: str) -> str:
        result = ""
        # A command goes on over lines that end in a backslash.
        for command, wanted in re.findall(r"^\$ ((?:.*\\\n)*.*\n)((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            done = subprocess.run(command, shell=True, executable="/bin/bash", cwd=self.folder, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, env=environment())
            result += f"$ {command}" + self._compare(command, wanted, done.stdout)
        return result

    def _run_examples(self, text: str) -> str:
        result = ""
        # What is printed may have empty lines, which doctest's own parser doesn't allow.
        for shown, wanted in EXAMPLE.findall(text):
            source = re.sub(r"^(>>>|\.\.\.) ?", "", shown, flags=re.MULTILINE)
            result += shown + self._compare(source, wanted, self._print_of(source))
        return result

    def _print_of(self, source: str) -> str:
        printed = io.StringIO()
        # Scripts are read where they stand: the interpreter has no file.
        name = f"<{self.path.stem}[{self.ran}]>"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        with contextlib.redirect_stdout(printed):
            try:
                exec(compile(source, name, "single"), self.names)
            except Exception as error:  # what a user would see of it
                lines = traceback.format_exception_only(error)
                printed.write("Traceback (most recent call last):\n    ...\n" + "".join(lines))
        return printed.getvalue()


def environment() -> dict[str, str]:
    """Of commands: the build's `repose`, the package, this Python."""
    path = f"{ROOT}/build/release/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(PACKAGE)}


def run_page(path: Path, write: bool = False) -> tuple[int, list[str]]:
    """How many examples ran, and what was wrong."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "include").symlink_to(ROOT / "include")
        (Path(folder) / "examples").symlink_to(ROOT / "examples")
        os.chdir(folder)
        sys.path.insert(0, folder)
        sys.dont_write_bytecode = True
        try:
            page = Page(path, Path(folder))
            text = page.run()
        finally:
            os.chdir(before)
            sys.path.remove(folder)
    if write:
        path.write_text(text)
    return page.ran, page.wrong


def main(arguments: list[str]) -> int:
    write = "--write" in arguments
    failed = 0
    for name in (a for a in arguments if a != "--write"):
        ran, wrong = run_page(GUIDE / f"{name}.md", write)
        print("\n".join(wrong))
        print(f"guide: {name}: {ran} examples, {len(wrong)} {'written' if write else 'failed'}")
        failed += len(wrong)
    return 1 if failed and not write else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
