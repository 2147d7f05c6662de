"""Makes docs/torch.md from the tables of the PyTorch front end (src/frontend/torch)."""
import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "src/frontend/torch"
COLUMNS = 3

HEAD = """\
# PyTorch

`repose compile model.pt2` takes what `torch.export.save` writes, without PyTorch; in Python, `repose.compile` and
`repose.frontend.torch.from_exported_program` take a `torch.export.ExportedProgram`. This page is made from the
importer's tables by `./dev docs`.

```python
program = torch.export.export(model.eval(), (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
compiled = repose.compile(program)        # any batch
y = compiled(x)                           # torch tensors in and out, without copies
```

`torch.compile(model, backend="repose", dynamic=True)` compiles what dynamo captures, for inference (`torch.no_grad()`); sizes that
dynamo hands over as symbols need no recompilation. Parameters are constants of the artifact, which is made anew where they changed;
buffers that a model writes are inputs. A graph with an unsupported operator, one whose gradients are wanted, or one with tensors
of another device runs in PyTorch, with a warning that says why; `repose.torch.explain(model, x)` lists breaks and such
operators. Recurrent layers (`torch.nn.LSTM`, `GRU`, `RNN`), which dynamo leaves out of the graphs of other backends, are loops at any
length; for `torch.export`, whose programs have one length else, within `with repose.torch.whole_recurrent_layers():`.

## What a program becomes

| in the program | in the module |
|---|---|
| parameters, buffers, constants | constants; where they are compact they stay in the mapped file, or in Python in PyTorch's memory, until they are compiled |
| inputs and outputs | parameters and results, in order, with PyTorch's names; an input that is an integer is a tensor of rank 0, outputs that are None are left out |
| a buffer or input that is mutated | a buffer is a parameter too, behind the inputs; the new value is a result, behind the outputs, which may be given the old one's memory (`donate`) |
| `s77`, `2*s77 + 1` | symbols and expressions over them. `--dim s77=1..64`, or by input and axis, `--dim x_0=1..64` (the archive does not have the names of `Dim`s) |
| `range_constraints` | declared ranges, checked at entry. A lower bound of 2 is PyTorch's "not specialized": 0 and 1 are let through, as PyTorch does |
| `u0` of `nonzero` or `item` | bound where a value first has it; a range that it has is a check |
| `torch._check`, assertions on sizes | checks |
| an operator in place | gives its operand's name the new value |
| `cond` | an `if`; of a condition on sizes that is decided when compiling, the branch that it takes |
| `lstm`, `gru`, `rnn_tanh`, `rnn_relu` | loops over the steps, after one product of all of them with the weights; packed sequences are not supported |
| `while_loop`, `map`, `scan` | loops; what they carry keeps its shape, except dimensions that PyTorch itself gives a symbol of the body's |

## What is refused

By name, with the node: operators that are not in the table (in Python they are decomposed first), complex and quantized
types, pickled payloads (tensor subclasses, custom objects), sparse tensors, training (`dropout`, batch statistics), an operator in
place whose memory has another name that is used later (`run_decompositions()` makes such programs functional), operators
with graphs other than those above, graphs inside that change their inputs in place, archives of PyTorch before 2.8, schemas other
than version 8, zip entries that are compressed.

## FX and TorchScript

`repose.frontend.torch.from_fx(graph_module, (x,), dynamic_shapes=…)` takes what `torch.fx.symbolic_trace` gives. A module of
TorchScript is refused by name: export the module that it was made from.

## Operators

{count} overloads; those not in Core ATen are what an exported program has before it is decomposed.
"""


def operators():
    names = []
    for path in sorted(FOLDER.glob("import_*.cpp")):
        names += re.findall(r'^\s+\{"(\w+\.[\w.]+)", ', path.read_text(), re.MULTILINE)
    return sorted(names)


def page():
    names = operators()
    rows = -(-len(names) // COLUMNS)
    lines = ["| | | |", "|---|---|---|"]
    for i in range(rows):
        cells = [names[i + k * rows] if i + k * rows < len(names) else "" for k in range(COLUMNS)]
        lines.append("| " + " | ".join(f"`{c}`" if c else "" for c in cells) + " |")
    return HEAD.replace("{count}", str(len(names))) + "\n" + "\n".join(lines) + "\n"
