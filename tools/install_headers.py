#!/usr/bin/env python3
"""Copies the headers of the C and the C++ interface, and what they include, to a folder where they need no other.

    install_headers.py FOLDER     FOLDER/repose/repose.h, FOLDER/repose/compiler.hpp, FOLDER/repose/ir/graph.h, …

Included by `-I FOLDER` alone: their own include lines begin with `repose/`, and a copy of fmt lies beside them.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PUBLIC = ["repose/repose.h", "repose/compiler.hpp"]
FMT = Path("/usr/include/fmt")
INCLUDE = re.compile(r'^(\s*#\s*include\s*)"([^"]+)"', re.M)
# The program's own fmt, where it was included before; else the copy, whose functions are inline.
OWN_FMT = """#ifndef FMT_FORMAT_H_
#define FMT_HEADER_ONLY
#include "repose/fmt/format.h"
#endif"""


def source_of(name):
    for folder in ("include", "src"):
        if (ROOT / folder / name).is_file():
            return ROOT / folder / name
    sys.exit(f"install_headers: no header is called {name}")


def placed(name):
    """Where a header lies below the folder."""
    return name if name.startswith("repose/") else f"repose/{name}"


def reached(names):
    """The headers, and all that they include: {name: text}"""
    texts, left = {}, list(names)
    while left:
        name = left.pop()
        if name not in texts:
            texts[name] = source_of(name).read_text()
            left += [m[2] for m in INCLUDE.finditer(texts[name])]
    return texts


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def main(folder):
    for name, text in reached(PUBLIC).items():
        text = INCLUDE.sub(lambda m: f'{m[1]}"{placed(m[2])}"', text)
        write(folder / placed(name), text.replace("#include <fmt/format.h>", OWN_FMT))
    for name in ("core.h", "format.h", "format-inl.h"):
        write(folder / "repose" / "fmt" / name, (FMT / name).read_text())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
