#!/usr/bin/env python3
"""Writes docs/schedule.md from the headers of the primitives (src/schedule/primitives), docs/onnx.md
and docs/torch.md from the importers' tables (onnx_page.py, torch_page.py).

    make_docs.py            writes them
    make_docs.py --check    says whether they are up to date
"""
import re
import sys
import textwrap
from pathlib import Path

import onnx_page
import torch_page

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "src/schedule"
WIDTH = 120

HEAD = """\
# Schedules

A schedule is a short list of **primitives**, each of which rewrites a tensor program and leaves a legal one, which
prints, parses and runs. A primitive that would not be legal changes nothing and says why. This page is made from the
headers of the primitives by `./dev docs`.

## As text

A step stands on a line. Names left of `=` stand for its results in later lines; any other name is that of a loop, a
block (`T.block("C")`) or a buffer of the program, which all have names of their own once a schedule begins. `root` is
the whole program where a loop is asked for. Expressions are over integers, scalar parameters, symbols of the
parameters' shapes, and what is bound around the loop or block that the step names before.

    i_o, i_i = split(i, 8, masked)      # a comment
    reorder([j, i_o])
    C_out = cache_write(C, i_i, local)

`repose opt MODEL --passes …,schedule_programs --trace` prints the steps of each program, in the form that
`--schedule FILE` reads (see [cli.md](cli.md#schedules)). `# test: schedule` files try them out
([CONTRIBUTING.md](../CONTRIBUTING.md#text-tests)). In C++ each primitive is a function of its name in
`repose::schedule`, whose first argument is the program (`src/schedule/scheduled.h`).

## Primitives

*Bits* says what happens to the bits of floating-point results.
"""

# C++ types as the page names them.
TYPES = {"Loop": "loop", "Block": "block", "Buffer": "buffer", "Expr": "expression",
         "std::vector<Loop>": "[loop, …]", "IndexMap": "(i, …) -> (…)"}


def split_comment(text):
    """The paragraphs of the comment at the head of a file, with the lines of each."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("//"):
            break
        lines.append(line[2:].removeprefix(" ").rstrip())
    return [part.split("\n") for part in re.split(r"\n\n+", "\n".join(lines))]


def wrapped(lines):
    return textwrap.fill(" ".join(lines), WIDTH, break_long_words=False, break_on_hyphens=False)


def type_of(text):
    text = text.replace("const ", "").replace("&", "").strip()
    return TYPES.get(text, text.lower())


def signature(name, text):
    """"`split(loop, factor: expression, tail)` gives a list of loops"."""
    match = re.search(r"^Result<(.+?)> " + name + r"\(Scheduled& s,?([^;]*)\);", text, re.MULTILINE)
    if not match:
        raise SystemExit(f"make_docs: {name}.h declares no function `{name}`")
    result, params = match.groups()
    parts = []
    for param in filter(None, (p.strip() for p in params.replace("\n", " ").split(","))):
        kind, of = param.rsplit(" ", 1)
        parts.append(of if of == type_of(kind) else f"{of}: {type_of(kind)}")
    gives = {"void": "", "Loop": " gives a loop", "Block": " gives a block",
             "std::vector<Loop>": " gives a list of loops"}[result]
    return f"`{name}({', '.join(parts)})`{gives}"


def words(text):
    """The values of enumerations, each with its comment."""
    for body in re.findall(r"^enum class \w+ : \w+ \{\n(.*?)^\};", text, re.MULTILINE | re.DOTALL):
        for value, about in re.findall(r"(\w+),\s*// (.*)", body):
            yield value, about


def section(name, effect):
    text = (FOLDER / f"primitives/{name}.h").read_text()
    parts = split_comment(text)
    lines = [f"### {name}", "", signature(name, text), ""]
    for part in parts:
        if part[0].startswith("before:"):
            lines += ["```text", *part, "```", ""]
        else:
            lines += [wrapped(part), ""]
    values = list(words(text))
    if values:
        lines += ["| | |", "|---|---|"] + [f"| `{v}` | {about} |" for v, about in values] + [""]
    summary = re.split(r"[:.](?:\s|$)", " ".join(parts[0]), maxsplit=1)[0]
    bits = "the same" if effect == "same_bits" else "reassociates"
    return f"| [`{name}`](#{name}) | {summary} | {bits} |", "\n".join(lines)


def page():
    listed = re.findall(r"^PRIMITIVE\((\w+), (\w+)\)", (FOLDER / "primitives.def").read_text(),
                        re.MULTILINE)
    rows, sections = zip(*(section(name, effect) for name, effect in listed))
    table = "\n".join(["| | | bits |", "|---|---|---|", *rows])
    return f"{HEAD}\n{table}\n\n" + "\n".join(sections).rstrip() + "\n"


PAGES = {"docs/schedule.md": page, "docs/onnx.md": onnx_page.page,
         "docs/torch.md": torch_page.page}


def outdated():
    """The pages that are not what the sources make them."""
    return [name for name, make in PAGES.items()
            if not (ROOT / name).exists() or (ROOT / name).read_text() != make()]


def main(arguments):
    if arguments != ["--check"]:
        for name, make in PAGES.items():
            (ROOT / name).write_text(make())
        return 0
    old = outdated()
    for name in PAGES:
        print(f"{name} is " + ("not up to date: ./dev docs" if name in old else "up to date"))
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
