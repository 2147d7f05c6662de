#!/usr/bin/env python3
"""Writes the commands that clang-tidy works with, from those of the release build: without options that GCC alone has.

build/tidy/groups has those of the build, in which several sources are compiled together; build/tidy has one for each
source: `clang-tidy-19 -quiet -p build/tidy src/ops/conv.cpp`.
"""
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GCC_ONLY = re.compile(r" -fno-reorder-blocks-and-partition| -Wno-(restrict|stringop-overflow|stringop-overread|subobject-linkage|"
                      r"maybe-uninitialized)(?= )")


def members(entry):
    """The sources that are compiled by one command."""
    group = Path(entry["file"])
    if group.parent.name != "Unity":
        return [entry["file"]]
    return re.findall(r'^#include "(.*)"', group.read_text(), re.MULTILINE)


def main():
    groups = json.loads((ROOT / "build/release/compile_commands.json").read_text())
    single = []
    for entry in groups:
        entry["command"] = GCC_ONLY.sub("", entry["command"])
        for file in members(entry):
            command = entry["command"].replace(f"-c {entry['file']}", f"-c {file}")
            single.append({**entry, "file": file, "command": command, "output": file + ".o"})
    for folder, commands in (("build/tidy", single), ("build/tidy/groups", groups)):
        (ROOT / folder).mkdir(parents=True, exist_ok=True)
        (ROOT / folder / "compile_commands.json").write_text(json.dumps(commands, indent=1))


if __name__ == "__main__":
    main()
