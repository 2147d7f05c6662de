#!/usr/bin/env python3
"""Writes python/repose/op.pyi, the operators' signatures and documentation for type checkers and
editors, and docs/operators.md (operators_page.py), from the operators of the built package
(build/release/python).

    make_op_stub.py            writes them
    make_op_stub.py --check    says whether they are up to date
"""
import sys
import textwrap
from pathlib import Path

import operators_page

ROOT = Path(__file__).resolve().parents[1]
STUB = ROOT / "python/repose/op.pyi"
PAGE = ROOT / "docs/operators.md"
HEAD = '''"""The operators of the graph: written by tools/make_op_stub.py."""
from typing import Any

from repose._repose import Value

'''


def parameters(args, attrs, variadic):
    """"x: Any, axis: Any = None": behind one that may be left out, all may."""
    parts, optional = [], False
    for name, may in args:
        optional = optional or may
        parts.append(f"{name}: Any = ..." if optional else f"{name}: Any")
    if variadic:
        parts.append("*further: Any")
    for name, may, _ in attrs:
        optional = may or (optional and not variadic)
        parts.append(f"{name}: Any = ..." if optional else f"{name}: Any")
    return ", ".join(parts)


def function(name, doc, args, attrs, variadic, indent, static):
    lines = ["@staticmethod"] if static else []
    lines.append(f"def {name}({parameters(args, attrs, variadic)}) -> Value:")
    text = doc.strip().replace("\\", "\\\\")
    if text:
        if text.endswith('"'):
            text = text[:-1] + '\\"'  # apart from the quotes that end the string
        body = textwrap.indent(f'"""{text}"""', "    ")
        lines += [line.rstrip() for line in body.splitlines()]
    else:
        lines.append("    ...")
    return "".join(f"{indent}{line}".rstrip() + "\n" for line in lines)


def stub(operators):
    spaces = {}
    for name, *rest in operators:
        space, _, last = name.rpartition(".")
        spaces.setdefault(space, []).append((last, *rest))
    text = HEAD + "\n".join(function(*op, "", False) for op in spaces.pop(""))
    for space, members in sorted(spaces.items()):
        text += f"\nclass {space}:\n" + "\n".join(function(*op, "    ", True) for op in members)
    return text


def made():
    sys.path.insert(0, str(ROOT / "build/release/python"))
    from repose import _repose
    operators = _repose._operators()
    return {STUB: stub(operators), PAGE: operators_page.page(operators)}


def main(arguments):
    texts = made()
    if arguments != ["--check"]:
        for path, text in texts.items():
            path.write_text(text)
        return 0
    old = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    for path in old:
        print(f"{path.relative_to(ROOT)}: is not what tools/make_op_stub.py makes of the operators")
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
