#!/usr/bin/env python3
"""Writes the seeds of the fuzzer of .pt2 archives: small programs, without what the reader passes over.

    make_torch_seeds.py FOLDER      FOLDER: fuzz/seeds/torch_import

They are in the repository, as PyTorch is large: run this in the environment of `./dev test torch`, with the
package `repose` on PYTHONPATH, where the archives' schema changes.
"""
import io
import json
import sys
import warnings
import zipfile
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim

from repose.frontend.torch import archive

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/python"))
from torch_programs import Model, scan, torch_map, while_loop  # noqa: E402

N = Dim("n")
X = torch.randn(3, 4)


class Counts(nn.Module):
    """A buffer that each call writes."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, x):
        self.seen.add_(x.sum(0))
        return x * self.seen


def found(_, x):
    return x[x > 0]


def repeated(_, x, count):
    times = count.item()
    torch._check(times >= 0)
    torch._check(times < 9)
    return x.new_zeros(times) + x.sum()


# name: (module, inputs, dynamic dimensions of the first input)
PROGRAMS = {
    "linear": (nn.Sequential(nn.Linear(4, 3), nn.GELU()), (X,), {0: N}),
    "convolution": (nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.MaxPool2d(2)),
                    (torch.randn(1, 2, 9, 9),), {2: Dim("h", min=6)}),
    "attention": (Model(lambda m, x: nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)),
                  (torch.randn(2, 2, 3, 4),), {0: N, 2: Dim("seq")}),
    "views": (Model(lambda m, x: (x.t().reshape(-1)[1:], x.flip(0), torch.cat([x, x], 1).unfold(1, 2, 3))), (X,),
              {0: N}),
    "lookup": (nn.Embedding(7, 4), (torch.tensor([[1, 2]]),), {1: N}),
    "einsum": (Model(lambda m, x: torch.einsum("ij,kj->ik", x, m.layer.weight)), (X,), {0: N}),
    "resize": (Model(lambda m, x: nn.functional.interpolate(x, scale_factor=2, mode="bilinear")),
               (torch.randn(1, 1, 3, 3),), {2: N}),
    "sort": (Model(lambda m, x: (x.topk(2).values, x.sort(0).indices, x.cumsum(1))), (X,), {0: Dim("n", min=2)}),
    "buffer": (Counts(), (X,), {0: N}),
    "found": (Model(found), (X,), {0: N}),
    "repeated": (Model(repeated), (X, torch.tensor(2)), {0: N}),
    "cond": (Model(lambda m, x: torch.cond(x.sum() > 0, lambda a: m.layer(a), lambda a: a * 2, (x,))), (X,), {0: N}),
    "while_loop": (Model(lambda m, x: while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a * 2),
                                                 (torch.zeros((), dtype=torch.int64), x))), (X,), {0: N}),
    "map": (Model(lambda m, x: torch_map(lambda a: a.relu(), x)), (X,), {0: N}),
    "scan": (Model(lambda m, x: scan(lambda c, a: (c + a, c * a), torch.zeros(4), x)), (X,), {0: N}),
}


def bare(value):
    """JSON without what is there for people: where nodes come from."""
    if isinstance(value, dict):
        return {k: {} if k == "metadata" else bare(v) for k, v in value.items() if k not in ("guards_code", "hint")}
    return [bare(v) for v in value] if isinstance(value, list) else value


def seed_of(contents):
    """The entries that are read."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(contents)) as given, zipfile.ZipFile(result, "w", zipfile.ZIP_STORED) as seed:
        for name in given.namelist():
            if not ("/models/" in name or "/data/weights/" in name or "/data/constants/" in name):
                continue
            data = given.read(name)
            if name.endswith(".json"):
                value = json.loads(data)
                if "/models/" in name:
                    value["graph_module"]["module_call_graph"] = []
                data = json.dumps(bare(value), separators=(",", ":")).encode()
            seed.writestr(zipfile.ZipInfo(name), data)
    return result.getvalue()


def main():
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, (module, inputs, dims) in PROGRAMS.items():
        shapes = (dims, *(None for _ in inputs[1:]))
        if isinstance(module, Model):
            shapes = (shapes,)  # of its *inputs
        with torch.no_grad():
            program = torch.export.export(module.eval(), inputs, dynamic_shapes=shapes, strict=False)
        (folder / f"{name}.pt2").write_bytes(seed_of(archive(program)))
    print(f"{len(PROGRAMS)} seeds in {folder}")


if __name__ == "__main__":
    main()
