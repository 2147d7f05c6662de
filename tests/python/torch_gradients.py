"""Gradients of functions of the IR beside those of PyTorch's autograd for the same formulas: one artifact each, at
several batches and lengths.

Runs in an environment of its own (`./dev test torch`), with `repose` on PYTHONPATH.
"""
import unittest

import torch
from torch.nn import functional as F

import repose
from repose import transform

TOLERANCE = 1e-4  # of the largest magnitude of a gradient

PERCEPTRON = """
@R.function
def main(x: R.Tensor(("n", 6), "float32"), t: R.Tensor(("n",), "int64"), w1: R.Tensor((6, 16), "float32"),
         b1: R.Tensor((16,), "float32"), w2: R.Tensor((16, 4), "float32"), b2: R.Tensor((4,), "float32")):
    with R.dataflow():
        h = R.nn.gelu(R.add(R.matmul(x, w1), b1))
        y = R.nn.log_softmax(R.add(R.matmul(h, w2), b2), axis=-1)
        loss = R.nn.nll_loss(y, t)
        R.output(loss)
    return loss
"""


def perceptron(x, t, w1, b1, w2, b2):
    return F.nll_loss(F.log_softmax(F.gelu(x @ w1 + b1) @ w2 + b2, -1), t)


CONVOLUTIONS = """
@R.function
def main(x: R.Tensor(("n", 3, "h", "w"), "float32"), t: R.Tensor(("n",), "int64"), k1: R.Tensor((8, 3, 3, 3), "float32"),
         g: R.Tensor((8,), "float32"), b: R.Tensor((8,), "float32"), mean: R.Tensor((8,), "float32"),
         variance: R.Tensor((8,), "float32"), k2: R.Tensor((8, 2, 3, 3), "float32"),
         k3: R.Tensor((8, 4, 2, 2), "float32"), head: R.Tensor((4, 5), "float32")):
    with R.dataflow():
        c1 = R.nn.conv2d(x, k1, padding=[1, 1])
        a1 = R.nn.relu(R.nn.batch_norm(c1, g, b, mean, variance, axis=1)[0])
        p1 = R.nn.max_pool2d(a1, pool_size=[3, 3], strides=[2, 2], padding=[1, 1])
        c2 = R.nn.conv2d(p1, k2, strides=[2, 2], padding=[1, 1], groups=4)
        p2 = R.nn.avg_pool2d(R.nn.silu(c2), pool_size=[2, 2], strides=[1, 1])
        c3 = R.nn.conv2d_transpose(p2, k3, strides=[2, 2])
        f = R.nn.batch_flatten(R.nn.adaptive_avg_pool2d(R.tanh(c3), output_size=[1, 1]))
        loss = R.nn.nll_loss(R.nn.log_softmax(R.matmul(f, head)), t)
        R.output(loss)
    return loss
"""


def convolutions(x, t, k1, g, b, mean, variance, k2, k3, head):
    c1 = F.conv2d(x, k1, padding=1)
    mean, variance, g, b = (v[:, None, None] for v in (mean, variance, g, b))
    a1 = F.relu((c1 - mean) / (variance + 1e-5).sqrt() * g + b)  # F.batch_norm has no gradient in the statistics
    p1 = F.max_pool2d(a1, 3, 2, 1)
    c2 = F.conv2d(p1, k2, stride=2, padding=1, groups=4)
    p2 = F.avg_pool2d(F.silu(c2), 2, 1)
    c3 = F.conv_transpose2d(p2, k3, stride=2)
    f = F.adaptive_avg_pool2d(torch.tanh(c3), 1).flatten(1)
    return F.nll_loss(F.log_softmax(f @ head, -1), t)


TRANSFORMER = """
@R.function
def main(ids: R.Tensor(("n", "s"), "int64"), table: R.Tensor((11, 8), "float32"), wq: R.Tensor((8, 8), "float32"),
         wk: R.Tensor((8, 8), "float32"), wv: R.Tensor((8, 8), "float32"), wo: R.Tensor((8, 8), "float32"),
         g: R.Tensor((8,), "float32"), b: R.Tensor((8,), "float32"), w1: R.Tensor((8, 32), "float32"),
         w2: R.Tensor((32, 8), "float32")):
    n, s = T.int64(), T.int64()
    with R.dataflow():
        x = R.take(table, ids, axis=0)
        CHECKPOINT_BEGIN
        h = R.nn.layer_norm(c, g, b, axes=[-1])
        q = R.reshape(R.matmul(h, wq), R.shape([n, s, 2, 4]))
        k = R.reshape(R.matmul(h, wk), R.shape([n, s, 2, 4]))
        v = R.reshape(R.matmul(h, wv), R.shape([n, s, 2, 4]))
        a = R.nn.attention(q, k, v, causal_mask="TopLeft")
        r = R.add(c, R.matmul(R.reshape(a, R.shape([n, s, 8])), wo))
        m = R.nn.layer_norm(r, g, b, axes=[-1])
        y = R.add(r, R.matmul(R.nn.gelu(R.matmul(m, w1)), w2))
        CHECKPOINT_END
        scores = R.matmul(e, R.permute_dims(table))
        ahead = R.flatten(R.strided_slice(ids, R.shape([1]), R.shape([s]), axes=[1]))
        rows = R.reshape(R.strided_slice(scores, R.shape([0]), R.shape([s - 1]), axes=[1]), R.shape([n * (s - 1), 11]))
        loss = R.nn.nll_loss(R.nn.log_softmax(rows), ahead)
        R.output(loss)
    return loss
"""
KEPT = TRANSFORMER.replace("CHECKPOINT_BEGIN", "c = x").replace("CHECKPOINT_END", "e = y")
CHECKPOINTED = TRANSFORMER.replace("CHECKPOINT_BEGIN", "c = R.grad.start_checkpoint(x)").replace(
    "CHECKPOINT_END", "e = R.grad.end_checkpoint(y)")


def transformer(ids, table, wq, wk, wv, wo, g, b, w1, w2):
    x = F.embedding(ids, table)
    h = F.layer_norm(x, (8,), g, b)
    q, k, v = ((h @ w).unflatten(-1, (2, 4)).transpose(1, 2) for w in (wq, wk, wv))
    a = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    r = x + a @ wo
    y = r + F.gelu(F.layer_norm(r, (8,), g, b) @ w1) @ w2
    scores = y @ table.T
    return F.nll_loss(F.log_softmax(scores[:, :-1].flatten(0, 1), -1), ids[:, 1:].flatten())


class Gradients(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)

    def check(self, text, reference, cases):
        module = transform.Gradient("main")(repose.Module.from_text(text))
        model = repose.build(module)["main_adjoint"]
        for inputs in cases:
            # In float64: of gradients that are 0, float32 leaves what it rounds.
            wide = [x.double().requires_grad_() if x.is_floating_point() else x for x in inputs]
            loss = reference(*wide)
            wanted = torch.autograd.grad(loss, [x for x in wide if x.requires_grad])
            got, *gradients = model(*inputs)
            torch.testing.assert_close(got, loss.detach().float(), rtol=1e-4, atol=1e-5)
            self.assertEqual(len(gradients), len(wanted))
            for want, g in zip(wanted, gradients):
                self.assertEqual(g.shape, want.shape)
                limit = TOLERANCE * max(1e-3, float(want.abs().max()))
                self.assertLessEqual(float((g - want).abs().max()), limit)

    def test_perceptron(self):
        self.check(PERCEPTRON, perceptron,
                   [(torch.randn(n, 6), torch.randint(4, (n,)), torch.randn(6, 16), torch.randn(16),
                     torch.randn(16, 4), torch.randn(4)) for n in (1, 3, 50)])

    def test_convolutions(self):
        self.check(CONVOLUTIONS, convolutions,
                   [(torch.randn(n, 3, h, w), torch.randint(5, (n,)), torch.randn(8, 3, 3, 3), torch.randn(8),
                     torch.randn(8), torch.randn(8), torch.rand(8) + 0.5, torch.randn(8, 2, 3, 3),
                     torch.randn(8, 4, 2, 2), torch.randn(4, 5)) for n, h, w in ((1, 8, 8), (2, 9, 14), (5, 16, 11))])

    def transformer_cases(self):
        shapes = ((11, 8), (8, 8), (8, 8), (8, 8), (8, 8), (8,), (8,), (8, 32), (32, 8))
        return [(torch.randint(11, (n, s)), *(torch.randn(shape) for shape in shapes))
                for n, s in ((1, 2), (2, 7), (4, 33))]

    def test_transformer(self):
        self.check(KEPT, transformer, self.transformer_cases())

    def test_checkpoints(self):
        self.check(CHECKPOINTED, transformer, self.transformer_cases())


if __name__ == "__main__":
    unittest.main()
