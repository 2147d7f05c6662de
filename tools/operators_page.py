"""docs/operators.md: the operators of the graph, from the built package and the comments at the heads of the files
that define them."""
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "src/ops"

HEAD = """\
# Operators

The {count} operators of the graph, by the file of [src/ops](../src/ops) that defines them. Below each group stand the
constraints that its type rules check: `C1` and so on are what errors and tests refer to. Where a constraint can be
neither proven nor refuted, it is a check at run time ([ir.md](ir.md)). Operands come first, then attributes, which have
names; what has a default may be left out. Operands may also be given under the names that TVM has for them (`data=`,
`x1=`). This page is made by `./dev docs`.
"""


def defining_files():
    """{operator as C++ names it: its file}"""
    names = re.findall(r"^OPERATOR\((\w+)\)", (FOLDER / "operators.def").read_text(), re.MULTILINE)
    files = {}
    for path in sorted(FOLDER.glob("*.cpp")):
        text = path.read_text()
        # op_add() {, UNARY(abs, and op_nn_conv##spatial##d() { of macros
        defined = set(re.findall(r"^const OpDef& op_(\w+)\(\)", text, re.MULTILINE))
        macros = set(re.findall(r"^[A-Z_]+\((\w+),", text, re.MULTILINE))
        pasted = [re.sub(r"##\w+##|##\w+", r"\\w+", p) for p in re.findall(r"op_(\w{6,}##[\w#]*)\(\)", text)]
        for name in names:
            short = name.removeprefix("nn_")
            if name in defined or short in macros or any(re.fullmatch(p, name) for p in pasted):
                files.setdefault(name, path)
    missing = [name for name in names if name not in files]
    if missing:
        raise SystemExit(f"tools/operators_page.py: no file of src/ops defines {', '.join(missing)}")
    return {name: files[name] for name in names}


def head_comment(path):
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("//"):
            break
        lines.append(line[2:].removeprefix(" ").rstrip())
    return "\n".join(lines)


def signature(name, args, attrs, variadic):
    parts, optional = [], False
    for arg, may in args:
        optional = optional or may
        parts.append(arg + "=None" if optional else arg)
    if variadic:
        parts.append("…")
    parts += [attr + ("=…" if may else "=") for attr, may, _ in attrs]
    return f"R.{name}({', '.join(parts)})"


def page(operators):
    known = {name: rest for name, *rest in operators}
    groups = {}
    for cpp_name, path in defining_files().items():
        dotted = [n for n in known if n.replace(".", "_") == cpp_name]
        groups.setdefault(path, []).append(dotted[0])
    text = HEAD.format(count=len(known))
    for path in sorted(groups, key=lambda p: p.stem):
        text += f"\n## {path.stem.replace('_', ' ')}\n\n"
        for name in groups[path]:
            doc, args, attrs, variadic = known[name]
            line = f"- `{signature(name, args, attrs, variadic)}`: {' '.join(doc.split())}"
            text += textwrap.fill(line, 120, subsequent_indent="  ", break_on_hyphens=False) + "\n"
        text += f"\n```text\n{head_comment(path)}\n```\n"
    return text
