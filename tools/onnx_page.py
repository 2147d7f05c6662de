"""docs/onnx.md: the operators that are imported, from the tables of src/frontend/onnx, and the operator tests of ONNX
that don't pass, from tests/onnx/unsupported.txt."""
import collections
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "src/frontend/onnx"
LIST = ROOT / "tests/onnx/unsupported.txt"

HEAD = """\
# ONNX

What `repose compile model.onnx` takes: operator sets {low} to {high} of ONNX (training, sequences of unknown
length, strings and pictures apart), and operators of other domains. An operator that isn't here, or a use of one that isn't supported,
is named with its node. This page is made from the importer's tables and the list of tests by `./dev docs`.

Of the {bake_total:,} tests in the `onnx` package (of operators, of layers that PyTorch exported, of networks), {bake:,}
pass with operands that decide shapes as constants, and of {symbolic_total:,} that fit {symbolic:,} with every extent above 1
a symbol too; [the others](#tests-that-dont-pass) are listed below.
`./dev test conformance` runs them, and fails where the list is wrong.
"""

# Of operators with graphs, the first sets other than 1.
CONTROL_SINCE = {"Scan": 8, "SequenceMap": 17}
DOMAINS = {"": "ONNX", "ai.onnx.ml": "`ai.onnx.ml`", "com.microsoft": "`com.microsoft`",
           "ai.onnx.preview": "`ai.onnx.preview`",
           "ai.onnx.preview.training": "`ai.onnx.preview.training`"}
# Each is a case of tests/python/test_departures.py.
DEPARTURES = """\
## Where results depart from ONNX Runtime's

| | ONNX Runtime | Repose |
|---|---|---|
| `Resize`, cubic, `pytorch_half_pixel`, to a length of 1 | another element's value | the value at coordinate 0, as ONNX's reference has it |
| `Resize`, `align_corners`, by a scale that gives no whole length | stretches to the length that it rounded to | stretches to the scaled length, as the reference does |
| `ReduceMean` over no elements | 0 | NaN: 0 / 0, as the reference |
| `ReduceLogSumExp` of integers | the logarithm of a sum of exponentials that are truncated first | that of the sum, truncated, as the reference |
| what a `Loop` without iterations stacks | of shape (0, 0) or (0,) where its type is not declared | no rows, each of the type that the body gives |
| pools whose window is larger than the padded image | an empty result, or none | refused, as convolutions are |
| `Reshape` to a size computed in the model that turns out to be 0, without `allowzero` | takes the operand's dimension, as the standard says | 0: models compute the size that they mean, and run with an empty batch. Constants and numbers from the data mean what the standard says |
"""

STATUSES = {"unsupported": "not supported", "differs": "computed, with other results",
            "skipped": "values that are no tensors of numbers"}


def operators():
    """{domain: {name: [first operator set of each meaning]}}"""
    table = (FOLDER / "operator_table.cpp").read_text()
    domain_of = {family: domain for domain, family in re.findall(r'add\(t\["(.*?)"\], (\w+)\(\)\)', table)}
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for path in sorted(FOLDER.glob("import_*.cpp")):
        for family, body in re.findall(
            r"std::span<const OperatorRow> (\w+)\(\) \{(.*?)\n\}", path.read_text(), re.DOTALL
        ):
            for name, since in re.findall(r'\{"(\w+)",\s*(\d+),', body):
                found[domain_of.get(family, "")][name].append(int(since))
    control = re.findall(r'op_type == "(\w+)"\) return &Importer', (FOLDER / "import.cpp").read_text())
    if not control or not found[""]:
        raise SystemExit("onnx_page: the importer's tables are not where they were")
    for name in control:
        found[""][name].append(CONTROL_SINCE.get(name, 1))
    return found


def element_types():
    """[(name in ONNX, dtype or nothing)]"""
    rows = re.search(r"type_rows\[\] = \{(.*?)\n\};", (FOLDER / "tensor_data.cpp").read_text(), re.DOTALL)
    found = re.findall(r'\{"(\w+)", dtypes::(\w+), \w+\}', rows.group(1))
    return [(name, "" if dtype == "none" else {"boolean": "bool"}.get(dtype, dtype))
            for name, dtype in found if name != "undefined"]


def listed():
    """{mode: number of tests}, and [(mode, case, status, reason)] of those that don't pass."""
    text = LIST.read_text()
    total = {mode: int(n) for mode, n in re.findall(r"^# (\w+): (\d+) cases", text, re.MULTILINE)}
    entries = []
    for line in text.splitlines():
        if line.strip() and line[0] != "#":
            key, status, reason = line.split(None, 2)
            entries.append((*key.split("/", 1), status, reason))
    return total, entries


def versions(since):
    since = sorted(since)
    return ", ".join(map(str, since))


def operator_table(rows):
    names = sorted(rows)
    lines = ["| | from set | | from set | | from set |", "|---|---|---|---|---|---|"]
    third = -(-len(names) // 3)
    for i in range(third):
        cells = []
        for name in names[i::third]:
            cells += [f"`{name}`", versions(rows[name])]
        lines.append("| " + " | ".join(cells + [""] * (6 - len(cells))) + " |")
    return lines


def failure_table(entries):
    groups = collections.defaultdict(list)
    for mode, case, status, reason in entries:
        groups[status, reason].append(case if mode == "*" else f"{case} ({mode})")
    lines = []
    for status, title in STATUSES.items():
        rows = [(reason, cases) for (kind, reason), cases in groups.items() if kind == status]
        if not rows:
            continue
        lines += [f"### {title[0].upper()}{title[1:]}", "", "| why | tests |", "|---|---|"]
        lines += [f"| {reason} | {', '.join(f'`{c}`' for c in cases)} |" for reason, cases in rows]
        lines.append("")
    return lines


def page():
    limits = re.search(r"min_opset = (\d+), max_opset = (\d+)", (FOLDER / "operator_table.h").read_text())
    total, entries = listed()
    passing = {mode: n - sum(entry[0] in (mode, "*") for entry in entries) for mode, n in total.items()}
    totals = {f"{mode}_total": n for mode, n in total.items()}
    lines = [HEAD.format(low=limits.group(1), high=limits.group(2), **totals, **passing)]
    lines += ["## Element types", "", "| ONNX | here |", "|---|---|"]
    lines += [f"| `{name}` | {f'`{dtype}`' if dtype else 'no'} |" for name, dtype in element_types()]
    lines += ["", "Types of less than eight bits and floats of eight are kept, moved and cast; what computes with them casts",
              "them first, as ONNX has it ([adr/0054](adr/0054-types-of-few-bits.md)).", "", "## Operators", "",
              "Where an operator has several numbers, its meaning changed with these sets."]
    found = operators()
    for domain, title in DOMAINS.items():
        lines += ["", f"### {title}", "", *operator_table(found[domain])]
    lines += ["", DEPARTURES, "## Tests that don't pass", "", *failure_table(entries)]
    return "\n".join(lines).rstrip() + "\n"
