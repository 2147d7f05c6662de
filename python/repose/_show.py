"""Texts of the IR in colours: on terminals, and as HTML."""
from __future__ import annotations

import html
import io
import keyword
import sys
import tokenize
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repose._repose import Function
    from repose._types import Symbol

_TERMINAL = {"keyword": "34;1", "string": "32", "number": "36", "comment": "90", "decorator": "35"}
_HTML = {"keyword": "#0033b3", "string": "#067d17", "number": "#1750eb", "comment": "#8c8c8c",
         "decorator": "#9e880d"}


def _kinds(text: str) -> list[tuple[int, int, int, str]]:
    """The tokens of one line that have a colour: the line, where they begin and end, and their kind."""
    found = []
    decorated = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            kind = {tokenize.STRING: "string", tokenize.NUMBER: "number",
                    tokenize.COMMENT: "comment"}.get(token.type, "")
            if token.type == tokenize.OP and token.string == "@" and not token.line[:token.start[1]].strip():
                decorated = token.start[0]
            if token.start[0] == decorated:
                kind = kind or "decorator"
            elif token.type == tokenize.NAME and keyword.iskeyword(token.string):
                kind = "keyword"
            if kind and token.start[0] == token.end[0]:
                found.append((token.start[0], token.start[1], token.end[1], kind))
    except (tokenize.TokenError, SyntaxError):
        pass  # what could be told apart so far
    return found


def _coloured(text: str, begin: dict[str, str], end: str, escape: bool) -> str:
    marks: dict[int, list[tuple[int, int, str]]] = {}
    for at_line, start, stop, kind in _kinds(text):
        marks.setdefault(at_line, []).append((start, stop, kind))
    shown = []
    quote = html.escape if escape else str
    for number, line in enumerate(text.splitlines(), 1):
        parts, at = [], 0
        for start, stop, kind in marks.get(number, []):
            parts += [quote(line[at:start]), begin[kind], quote(line[start:stop]), end]
            at = stop
        shown.append("".join(parts) + quote(line[at:]))
    return "\n".join(shown)


def as_html(text: str) -> str:
    begin = {kind: f'<span style="color:{colour}">' for kind, colour in _HTML.items()}
    return f'<pre style="line-height:1.3">{_coloured(text, begin, "</span>", True)}</pre>'


def show(text: str) -> None:
    """Prints it: in colours where the output is a terminal, as HTML in a notebook."""
    shell = sys.modules.get("IPython")
    active = shell.get_ipython() if shell else None
    if active is not None and hasattr(active, "kernel"):
        from importlib import import_module
        display = import_module("IPython.display")
        display.display(display.HTML(as_html(text)))
    elif sys.stdout.isatty():
        begin = {kind: f"\033[{colour}m" for kind, colour in _TERMINAL.items()}
        print(_coloured(text, begin, "\033[0m", False))
    else:
        print(text, end="" if text.endswith("\n") else "\n")


def _range(symbol: Symbol) -> str:
    text = f"{symbol.name}: from {symbol.lower}"
    text += "" if symbol.upper is None else f" to {symbol.upper}"
    return text + (f", in multiples of {symbol.divisor}" if symbol.divisor > 1 else "")


def model_html(name: str, functions: Mapping[str, Function], pages: Mapping[str, str]) -> str:
    """A table of each function's inputs and outputs, its symbols, and its page, where there is one."""
    parts = [f"<b>{html.escape(name)}</b>"]
    for title, function in functions.items():
        rows = [(kind, value) for kind, values in (("in", function.inputs), ("out", function.outputs))
                for value in values]
        cells = "".join(
            f"<tr><td>{kind}</td><td>{html.escape(value.name)}</td><td>{value.dtype}</td>"
            f"<td>{html.escape(', '.join(str(d) for d in value.shape))}</td></tr>" for kind, value in rows)
        parts.append(f"<p><code>{html.escape(title)}</code></p><table>{cells}</table>")
        if function.symbols:
            ranges = "; ".join(_range(symbol) for symbol in function.symbols.values())
            parts.append(f"<p>{html.escape(ranges)}</p>")
        if title in pages:
            parts.append(f'<iframe style="width:100%;height:32em;border:0" '
                         f'srcdoc="{html.escape(pages[title], quote=True)}"></iframe>')
    return "\n".join(parts)
