#!/usr/bin/env python3
"""Checks what no compiler does, over all source files of the repository:

    - the first line of a C++ or Python file (after `#!`) is a comment that says what it is for;
    - no file names a path of one machine;
    - each kind of diagnostic (src/base/diagnostic_kinds.def) is produced by a test;
    - docs/schedule.md and docs/onnx.md are what tools/make_docs.py makes of the sources;
    - relative links between the documents lead somewhere (with --links: this alone).
"""
import re
import sys
from pathlib import Path

import make_docs

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = "src runtime include tools python tests bench fuzz examples models docs cmake .ci".split()
TEXT = {".h", ".hpp", ".cpp", ".c", ".def", ".py", ".md", ".txt", ".cmake", ".relax", ".json", ""}
CODE = {".h", ".hpp", ".cpp", ".c", ".def"}
# Assembled, so that this line is not one of them.
MACHINE_FOLDERS = "|".join(["work", "root", "farm", "home"])
MACHINE_PATH = re.compile(r"(?:^|[^\w.$}])/(?:" + MACHINE_FOLDERS + r")/")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def files():
    tops = [p for p in ROOT.iterdir() if p.is_file() and p.name not in ("LICENSE", ".git")]
    below = [p for name in FOLDERS for p in (ROOT / name).rglob("*") if p.is_file()]
    return [p for p in sorted(tops + below) if p.suffix in TEXT and "__pycache__" not in p.parts]


def check_first_line(path, lines):
    body = lines[1:] if lines and lines[0].startswith("#!") else lines
    first = body[0] if body else ""
    begin = '"""' if path.suffix == ".py" else ("//", "/*")
    if path.suffix in CODE | {".py"} and not first.startswith(begin):
        yield f"{path.relative_to(ROOT)}:1: does not begin with a comment that says what it is for"


def check_paths(path, lines):
    for number, line in enumerate(lines, 1):
        if MACHINE_PATH.search(line):
            yield f"{path.relative_to(ROOT)}:{number}: names a path of one machine"


def check_links(path, lines):
    for number, line in enumerate(lines if path.suffix == ".md" else [], 1):
        for target in LINK.findall(line):
            if not (path.parent / target).exists():
                yield f"{path.relative_to(ROOT)}:{number}: links to `{target}`: no such file"


def check_kinds(texts):
    """texts: those of the tests. A kind counts as `some-kind` or DiagnosticKind::some_kind."""
    listed = (ROOT / "src/base/diagnostic_kinds.def").read_text()
    # Those of failure `internal` are bugs of the compiler: no input is known that gives one.
    for kind in re.findall(r"^DIAGNOSTIC\((\w+), (?!internal)", listed, re.MULTILINE):
        name = kind.replace("_", "-")
        pattern = re.compile(rf"DiagnosticKind::{kind}\b|(?<![\w-]){name}(?![\w-])")
        # A kind of one word is a word of its own in prose: there it counts in brackets only.
        if "_" not in kind:
            pattern = re.compile(rf"DiagnosticKind::{kind}\b|\[{name}\]")
        if not any(pattern.search(text) for text in texts):
            yield f"src/base/diagnostic_kinds.def: no test produces `{name}`"


def main(arguments):
    links_only = arguments == ["--links"]
    checks = (check_links,) if links_only else (check_first_line, check_paths, check_links)
    wrong, tests = [], []
    for path in files():
        text = path.read_text(errors="replace")
        lines = text.splitlines()
        for check in checks:
            wrong += check(path, lines)
        if path.relative_to(ROOT).parts[0] == "tests":
            tests.append(text)
    wrong += [] if links_only else check_kinds(tests)
    pages = [] if links_only else make_docs.outdated()
    wrong += [f"{page}: is not what `./dev docs` makes of the sources" for page in pages]
    print("".join(f"{line}\n" for line in wrong) + f"sources: {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
