"""Models through `torch.compile(model, backend="repose", dynamic=True)`: at 20 sizes they agree with PyTorch, and each
graph is compiled once. What Repose leaves to PyTorch is said.

Runs in an environment of its own (`./dev test torch`), with `repose` on PYTHONPATH.
"""
import copy
import unittest
import warnings
from unittest import mock

import torch
from torch import nn

import repose.torch

TOLERANCE = 1e-4  # of the largest magnitude of a result
SIZES = 20


class Residual(nn.Module):
    def __init__(self, channels=8):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return torch.relu(x + self.second(torch.relu(self.norm(self.first(x)))))


class Language(nn.Module):
    """Token ids → scores, with a mask for what lies ahead."""

    def __init__(self, hidden=32, words=97, **options):
        super().__init__()
        self.words = nn.Embedding(words, hidden)
        layer = nn.TransformerEncoderLayer(hidden, 4, 64, batch_first=True, **options)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(hidden, words)

    def forward(self, ids):
        ahead = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).triu(1)
        return self.head(self.layers(self.words(ids), ahead, is_causal=False))


class Attention(nn.Module):
    def __init__(self, need_weights):
        super().__init__()
        self.need_weights = need_weights
        self.inner = nn.MultiheadAttention(16, 4, batch_first=True)

    def forward(self, x):
        return [y for y in self.inner(x, x, x, need_weights=self.need_weights) if y is not None]


class Counts(nn.Module):
    """A buffer that each call writes."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)
        self.register_buffer("seen", torch.zeros(8))

    def forward(self, x):
        y = self.inner(x)
        self.seen.add_(y.mean(0))
        return y + self.seen


class Sizes(nn.Module):
    """Results that are numbers, and views of others."""

    def forward(self, x):
        y = x.transpose(0, 1) * 2
        return y, x.shape[0] * 2, y.flatten(), 7


class Breaks(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x):
        y = self.inner(x)
        torch._dynamo.graph_break()
        return torch.relu(y) * 2


class Recurrent(nn.Module):
    """A recurrent layer between others."""

    def __init__(self, kind, **options):
        super().__init__()
        self.layer = kind(16, 12, **options)
        self.head = nn.LazyLinear(5)

    def forward(self, x, *states):
        y, last = self.layer(x, *states)
        return self.head(y), last


class Special(nn.Module):
    """An operator that Repose doesn't have."""

    def forward(self, x):
        return torch.special.bessel_j0(x) + 1


def flat(value):
    return torch.utils._pytree.tree_flatten(value)[0]


def rows(k):
    return (torch.randn(2 + k, 8),)


def images(k):
    return (torch.randn(2 + k % 3, 8, 6 + k, 9 + 2 * k),)


def tokens(k):
    return (torch.randint(0, 97, (2 + k % 4, 5 + k)),)


def states(k):
    return (torch.randn(2 + k % 4, 3 + k, 16),)


class TorchCompileTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        torch._dynamo.reset()

    def agrees(self, model, inputs, graphs=1, falls_back=False):
        """Calls a model at 20 sizes; `graphs`: so many are compiled, once each."""
        model = model.eval()
        eager = copy.deepcopy(model)  # buffers are each one's own
        fast = torch.compile(model, backend="repose", dynamic=True)
        compiled = mock.Mock(side_effect=repose.torch._Compiled._compile)
        with mock.patch.object(repose.torch._Compiled, "_compile", lambda *a: compiled(*a)), \
                warnings.catch_warnings(record=True) as caught, torch.no_grad():
            warnings.simplefilter("always")
            for k in range(SIZES):
                given = inputs(k)
                for wanted, got in zip(flat(eager(*given)), flat(fast(*given)), strict=True):
                    self.same(wanted, got)
        messages = [str(w.message) for w in caught if issubclass(w.category, repose.torch.Fallback)]
        self.assertEqual(bool(messages), falls_back, messages)
        self.assertEqual(compiled.call_count, graphs)
        return messages

    def same(self, wanted, got):
        if not isinstance(wanted, torch.Tensor):
            self.assertEqual((type(wanted), wanted), (type(got), got))
            return
        self.assertEqual((wanted.dtype, wanted.shape), (got.dtype, got.shape))
        self.assertLessEqual((wanted - got).abs().max(), TOLERANCE * wanted.abs().max())

    def test_perceptron(self):
        self.agrees(nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 4)), rows)

    def test_residual_block(self):
        self.agrees(Residual(), images)

    def test_transformer(self):
        self.agrees(Language(), tokens)

    def test_transformer_normalised_first(self):
        self.agrees(Language(norm_first=True, activation="gelu"), tokens)

    def test_attention(self):
        self.agrees(Attention(need_weights=False), states)

    def test_attention_with_weights(self):
        self.agrees(Attention(need_weights=True), states)

    def test_buffer_that_is_written(self):
        self.agrees(Counts(), rows)

    def test_numbers_and_views(self):
        self.agrees(Sizes(), rows)

    def test_graph_break(self):
        self.agrees(Breaks(), rows, graphs=2)
        self.assertIn("2 graphs, 1 breaks", repose.torch.explain(Breaks().eval(), *rows(1)))

    def test_weights_that_change(self):
        model = nn.Linear(8, 4)
        fast = torch.compile(model, backend="repose", dynamic=True)
        x, = rows(1)
        with torch.no_grad():
            self.same(model(x), fast(x))
            model.weight.mul_(2)
            self.same(model(x), fast(x))

    def test_unsupported_operator(self):
        messages = self.agrees(Special(), rows, falls_back=True)
        self.assertEqual(len(messages), 1)
        self.assertIn("bessel_j0", messages[0])
        torch._dynamo.reset()
        self.assertIn("bessel_j0", repose.torch.explain(Special(), *rows(1)))

    def test_training(self):
        model = nn.Linear(8, 4)
        fast = torch.compile(model, backend="repose", dynamic=True)
        with self.assertWarnsRegex(repose.torch.Fallback, "gradients"):
            fast(*rows(1)).sum().backward()
        self.assertIsNotNone(model.weight.grad)

    def test_recurrent_layers(self):
        """Any length, any batch: one artifact."""
        for kind, options in [(nn.LSTM, {}), (nn.LSTM, dict(num_layers=2, bidirectional=True, batch_first=True)),
                              (nn.LSTM, dict(proj_size=6, num_layers=2)), (nn.LSTM, dict(bias=False)),
                              (nn.GRU, dict(batch_first=True)), (nn.GRU, dict(num_layers=2, bidirectional=True)),
                              (nn.RNN, {}), (nn.RNN, dict(nonlinearity="relu", bidirectional=True))]:
            with self.subTest(kind.__name__, **options):
                torch._dynamo.reset()
                model = Recurrent(kind, **options).eval()
                model(*states(0))
                self.agrees(model, states)

    def test_recurrent_layer_with_states(self):
        def given(k):
            batch = 2 + k % 4
            return torch.randn(3 + k, batch, 16), (torch.randn(1, batch, 12), torch.randn(1, batch, 12))

        model = Recurrent(nn.LSTM).eval()
        model(*given(0))
        self.agrees(model, given)

    def test_recurrent_layer_of_one_step(self):
        model = nn.GRU(16, 12, batch_first=True).eval()
        fast = torch.compile(model, backend="repose", dynamic=True)
        with torch.no_grad():
            for batch, length in [(3, 4), (3, 1), (1, 1), (1, 6)]:
                x = torch.randn(batch, length, 16)
                for wanted, got in zip(model(x), fast(x), strict=True):
                    self.same(wanted, got)

    def test_recurrent_layers_explained(self):
        self.assertEqual(repose.torch.explain(nn.LSTM(16, 8).eval(), *states(1)), "1 graphs, 0 breaks")

    def test_recurrent_layers_of_other_backends(self):
        """They are left out of graphs, as without Repose."""
        graphs = []
        fast = torch.compile(nn.LSTM(8, 8), backend=lambda graph, _: graphs.append(graph) or graph.forward)
        fast(*rows(1))
        self.assertEqual(graphs, [])
        self.assertFalse(torch._dynamo.config.allow_rnn)

    def test_nothing_captured(self):
        model = nn.Identity().eval()
        self.assertIn("captures no graph", repose.torch.explain(model, *rows(1)))


if __name__ == "__main__":
    unittest.main()
