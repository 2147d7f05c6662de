"""What programs of PyTorch may hold besides a chain of operators: branches and loops, modules that come
from TorchScript or FX, operators that other tests don't reach. Each is compiled once and compared at
several sizes.

Runs in an environment of its own (`./dev test torch`), with `repose` on PYTHONPATH.
"""
import unittest
import warnings

import torch
from torch import nn
from torch.export import Dim

import repose
from repose.frontend import torch as frontend

try:
    from torch._higher_order_ops import map as torch_map, scan, while_loop
except ImportError:  # where PyTorch moved them
    from torch._higher_order_ops.map import map as torch_map
    from torch._higher_order_ops.scan import scan
    from torch._higher_order_ops.while_loop import while_loop

TOLERANCE = 1e-5  # of the largest magnitude of a result


class Model(nn.Module):
    """A function as a module, with a layer for it to use."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.layer = nn.Linear(4, 4)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def flat(value):
    return torch.utils._pytree.tree_flatten(value)[0]


def rows(n):
    return torch.randn(n, 4)


class ProgramTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        warnings.filterwarnings("ignore")

    def same(self, wanted, got):
        got = got if isinstance(got, tuple) else (got,)
        for a, b in zip(flat(wanted), got, strict=True):
            self.assertEqual((a.dtype, a.shape), (b.dtype, b.shape))
            if a.numel():
                self.assertLessEqual((a - b).abs().max(), TOLERANCE * a.abs().max().clamp(min=1))

    def agrees(self, function, *cases, dims, strict=False):
        """`cases`: tuples of inputs, of which the first is exported with `dims`."""
        model = function if isinstance(function, nn.Module) else Model(function)
        model = model.eval()
        with torch.no_grad():
            program = torch.export.export(model, cases[0], dynamic_shapes=dims, strict=strict)
            compiled = repose.compile(program)
            for inputs in cases:
                self.same(model(*inputs), compiled(*inputs))
        return compiled


class ControlTest(ProgramTest):
    def agrees(self, function, *cases, dims):
        return super().agrees(function, *cases, dims=((*dims,),))

    def test_cond_of_data(self):
        def function(model, x, flag):
            return torch.cond(flag > 0, lambda a: model.layer(a).relu(), lambda a: a * 2, (x,))

        cases = [(rows(n), torch.tensor(flag)) for n, flag in [(3, 1), (3, 0), (1, 1), (7, 0)]]
        self.agrees(function, *cases, dims=({0: Dim("n")}, None))

    def test_cond_of_sizes(self):
        def function(model, x):
            return torch.cond(x.shape[0] > 4, lambda a: a + 1, lambda a: a * a.shape[0], (x,))

        self.agrees(function, *[(rows(n),) for n in (3, 5, 4, 1, 64)], dims=({0: Dim("n")},))

    def test_cond_of_several_results(self):
        def function(model, x):
            return torch.cond(x.sum() > 0, lambda a: (a + 1, a.sum(0)), lambda a: (a - 1, a.amax(0)),
                              (x,))

        self.agrees(function, (rows(3),), (rows(5).abs(),), (-rows(2).abs(),), dims=({0: Dim("n")},))

    def test_nested_cond(self):
        def inner(a):
            return torch.cond(a.shape[0] > 6, lambda b: b * 3, lambda b: b - 1, (a,))

        def function(model, x):
            return torch.cond(x.sum() > 0, inner, lambda a: a.relu(), (x,))

        cases = [(rows(n).abs() * sign,) for n in (3, 9) for sign in (1, -1)]
        self.agrees(function, *cases, dims=({0: Dim("n")},))

    def test_while_loop(self):
        def function(model, x, count):
            scale = model.layer.bias
            return while_loop(lambda i, a: i < count, lambda i, a: (i + 1, a * 0.5 + scale),
                              (torch.zeros((), dtype=torch.int64), x))

        cases = [(rows(n), torch.tensor(count)) for n, count in [(3, 5), (1, 0), (6, 1), (2, 17)]]
        self.agrees(function, *cases, dims=({0: Dim("n")}, None))

    def test_map(self):
        def function(model, x, y):
            return torch_map(lambda a, b: (a * b.sum()).relu(), x, y)

        cases = [(rows(n), torch.randn(4)) for n in (3, 2, 9)]
        self.agrees(function, *cases, dims=({0: Dim("n")}, None))

    def test_map_over_no_rows(self):
        def function(model, x):
            return torch_map(lambda a: model.layer(a), x)

        compiled = self.agrees(function, (rows(3),), dims=({0: Dim("n")},))
        self.assertEqual(compiled(rows(0)).shape, (0, 4))

    def test_scan(self):
        def function(model, x):
            return scan(lambda c, a: (c * 0.5 + a, (c * a).tanh()), torch.zeros(4), x)

        self.agrees(function, *[(rows(n),) for n in (3, 2, 8)], dims=({0: Dim("n")},))

    def test_scan_backwards(self):
        def function(model, x):
            return scan(lambda c, a: (c + a, c * 2), torch.ones(4), x, reverse=True)

        self.agrees(function, *[(rows(n),) for n in (3, 2, 8)], dims=({0: Dim("n")},))


class OperatorTest(ProgramTest):
    def test_einsum(self):
        for equation in ("bid, bjd -> bij", "bid,bjd->bji", "...id,...jd->...ij", "bij,bkj"):
            def function(model, x, y, equation=equation):
                return torch.einsum(equation, x, y)

            cases = [(torch.randn(b, i, 4), torch.randn(b, j, 4))
                     for b, i, j in [(2, 3, 5), (1, 1, 2), (3, 6, 4)]]
            b = Dim("b")
            with self.subTest(equation):
                self.agrees(function, *cases, dims=(({0: b, 1: Dim("i")}, {0: b, 1: Dim("j")}),))

    def test_unfold(self):
        module = nn.Unfold((3, 2), dilation=2, padding=1, stride=2)
        cases = [(torch.randn(b, 3, h, w),) for b, h, w in [(2, 9, 11), (1, 6, 5), (3, 14, 8)]]
        self.agrees(module, *cases, dims=({0: Dim("b"), 2: Dim("h", min=5), 3: Dim("w", min=4)},))

    def test_flip_and_pixel_shuffle(self):
        def function(model, x):
            y = nn.functional.pixel_shuffle(x, 2)
            return y.flip(-1, 0), nn.functional.pixel_unshuffle(y, 2)

        cases = [(torch.randn(b, 8, h, 3),) for b, h in [(2, 3), (1, 1), (3, 5)]]
        self.agrees(function, *cases, dims=(({0: Dim("b"), 2: Dim("h")},),))


class WeightTest(ProgramTest):
    def module(self, model):
        program = torch.export.export(model.eval(), (rows(3),), dynamic_shapes=({0: Dim("n")},))
        return repose.read(program)

    def test_weights_are_shared(self):
        """The module sees the memory of the parameters; what was compiled has what they were."""
        model, x = nn.Linear(4, 2), rows(5)
        with torch.no_grad():
            module = self.module(model)
            compiled, before = repose.build(module), model(x)
            model.weight.mul_(2)
            self.same(model(x), module.interpret(x))
            self.same(before, compiled(x))

    def test_weights_outlive_their_model(self):
        x = rows(5)
        model = nn.Linear(4, 2)
        with torch.no_grad():
            wanted = model(x)
            module = self.module(model)
            del model
            self.same(wanted, module.interpret(x))
            self.same(wanted, repose.build(module)(x))

    def test_weights_of_any_layout(self):
        model = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 3), nn.Linear(3, 3, bias=False))
        model[0].weight = nn.Parameter(torch.randn(4, 2).t())
        model[2].weight = nn.Parameter(torch.randn(6, 6)[::2, 1:4])
        model[1].weight = nn.Parameter(torch.randn(4, 2)[1:])
        model[1].bias = nn.Parameter(torch.randn(1).expand(3))
        with torch.no_grad():
            for n in (1, 3, 6):
                x = rows(n)
                self.same(model(x), repose.build(self.module(model))(x))

    def test_weights_of_other_types(self):
        class Casts(nn.Module):
            def __init__(self):
                super().__init__()
                self.narrow = nn.Parameter(torch.randn(4).bfloat16())
                self.register_buffer("mask", torch.tensor([True, False, True, True]))
                self.register_buffer("none", torch.zeros(0, 4))
                self.register_buffer("steps", torch.arange(4), persistent=False)

            def forward(self, x):
                return torch.where(self.mask, x * self.narrow.float(), x + self.steps) + self.none.sum()

        self.agrees(Casts(), (rows(3),), (rows(1),), dims=({0: Dim("n")},))


class ModuleTest(ProgramTest):
    def test_fx(self):
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
        graph_module = torch.fx.symbolic_trace(model)
        module = frontend.from_fx(graph_module, [rows(3)], dynamic_shapes=({0: Dim("n")},))
        compiled = repose.build(module)
        for n in (1, 3, 8):
            x = rows(n)
            with torch.no_grad():
                self.same(model(x), compiled(x))

    def test_fx_of_something_else(self):
        with self.assertRaisesRegex(TypeError, "given `int`, expected a torch.fx.GraphModule"):
            frontend.from_fx(3, [rows(3)])

    def test_torchscript(self):
        """docs/torch.md, "TorchScript": the module that was scripted is what is exported."""
        model = nn.Sequential(nn.Linear(4, 8), nn.GELU()).eval()
        scripted = torch.jit.trace(model, rows(3))
        with self.assertRaisesRegex(TypeError, "TorchScript"):
            repose.compile(scripted)
        self.agrees(model, *[(rows(n),) for n in (3, 1, 5)], dims=({0: Dim("n")},))

    def test_module_with_inputs(self):
        """A module is exported before it is compiled."""
        model = nn.Linear(4, 2).eval()
        with self.assertRaisesRegex(TypeError, "torch.export.export"):
            repose.compile(model)


if __name__ == "__main__":
    unittest.main()
