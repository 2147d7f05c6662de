"""Transformer networks as ONNX with symbolic batch and sequence dimensions.

    bert   encoder; real weights from a safetensors file of a BERT, or random ones
    llama  decoder with RMSNorm, rotary embedding, grouped-query attention, SwiGLU and a
           key/value cache: one graph serves prefill (past = 0) and decode (new = 1)

Comments give the shape of a value as (batch, seq, …), with h = hidden, n = heads, d = h / n.
"""
import math
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto
from onnx_graph import Graph


@dataclass(frozen=True)
class BertConfig:
    layers: int = 12
    hidden: int = 768
    heads: int = 12
    inner: int = 3072
    vocab: int = 30522
    positions: int = 512


BERT_TINY = BertConfig(layers=2, hidden=64, heads=4, inner=128, vocab=512)
BERT_BASE = BertConfig()
MINILM = BertConfig(layers=6, hidden=384, heads=12, inner=1536)


class BertWeights:
    """The parameters of a BERT as constants of `graph`: from `arrays` (a mapping from Hugging Face
    names to float32 arrays), or random where that is None."""

    def __init__(self, graph, arrays):
        self.graph, self.arrays = graph, arrays

    def table(self, name, rows, width):
        """(rows, width)"""
        if self.arrays is None:
            return self.graph.weight(rows, width, scale=0.02)
        return self.graph.const(self.arrays[name], "w")

    def matrix(self, name, n_in, n_out):
        """(n_in, n_out); files have it transposed."""
        if self.arrays is None:
            return self.graph.weight(n_in, n_out, scale=0.02)
        return self.graph.const(self.arrays[name].T, "w")

    def vector(self, name, size, value):
        """(size,); `value` throughout where the weights are random."""
        if self.arrays is None:
            return self.graph.const(np.full(size, value, np.float32), "v")
        return self.graph.const(self.arrays[name], "v")


def bert(cfg=BERT_BASE, arrays=None, seed=0):
    """input_ids, attention_mask: int64 (batch, seq) → last_hidden_state: float32 (batch, seq, h).

    A mask of 0 marks padding. seq is at most cfg.positions.
    """
    g = Graph("bert", seed=seed)
    weights = BertWeights(g, arrays)
    ids = g.input("input_ids", ["batch", "seq"], TensorProto.INT64)
    mask = g.input("attention_mask", ["batch", "seq"], TensorProto.INT64)
    x = bert_embeddings(g, cfg, weights, ids)
    keep = g.op("Cast", g.op("Unsqueeze", mask, g.ints(1, 2)), to=TensorProto.FLOAT)
    bias = g.op("Mul", g.op("Sub", g.scalar(1.0), keep), g.scalar(-1e4))  # (batch, 1, 1, seq)
    for i in range(cfg.layers):
        x = bert_layer(g, cfg, weights, f"encoder.layer.{i}.", x, bias)
    g.output(x, "last_hidden_state", ["batch", "seq", cfg.hidden])
    return g


def bert_norm(g, cfg, weights, name, x):
    scale = weights.vector(name + ".weight", cfg.hidden, 1.0)
    shift = weights.vector(name + ".bias", cfg.hidden, 0.0)
    return g.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-12)


def bert_linear(g, weights, name, x, n_in, n_out):
    """(batch, seq, n_in) → (batch, seq, n_out)"""
    product = g.op("MatMul", x, weights.matrix(name + ".weight", n_in, n_out))
    return g.op("Add", product, weights.vector(name + ".bias", n_out, 0.0))


def bert_embeddings(g, cfg, weights, ids):
    """(batch, seq) → (batch, seq, h): words + positions + segment 0, normalised."""
    p = "embeddings."
    seq = g.op("Slice", g.op("Shape", ids), g.ints(1), g.ints(2))
    every = g.const(np.arange(cfg.positions, dtype=np.int64)[None], "pos")
    positions = g.op("Slice", every, g.ints(0), seq, g.ints(1))  # (1, seq)
    words = weights.table(p + "word_embeddings.weight", cfg.vocab, cfg.hidden)
    x = g.op("Gather", words, ids)
    places = weights.table(p + "position_embeddings.weight", cfg.positions, cfg.hidden)
    x = g.op("Add", x, g.op("Gather", places, positions))
    segments = weights.table(p + "token_type_embeddings.weight", 2, cfg.hidden)
    x = g.op("Add", x, g.op("Gather", segments, g.const(np.array([0], np.int64), "zero")))
    return bert_norm(g, cfg, weights, p + "LayerNorm", x)


def bert_layer(g, cfg, weights, p, x, bias):
    """One encoder layer with the parameters under the prefix `p`: (batch, seq, h) → the same."""
    h, n, d = cfg.hidden, cfg.heads, cfg.hidden // cfg.heads

    def project(name, perm):
        y = bert_linear(g, weights, p + "attention.self." + name, x, h, h)
        return g.op("Transpose", g.op("Reshape", y, g.ints(0, 0, n, d)), perm=perm)

    q = project("query", [0, 2, 1, 3])  # (batch, n, seq, d)
    k = project("key", [0, 2, 3, 1])  # (batch, n, d, seq)
    v = project("value", [0, 2, 1, 3])
    scores = g.op("Div", g.op("MatMul", q, k), g.scalar(math.sqrt(d)))
    probs = g.op("Softmax", g.op("Add", scores, bias), axis=-1)  # (batch, n, seq, seq)
    context = g.op("Transpose", g.op("MatMul", probs, v), perm=[0, 2, 1, 3])
    context = g.op("Reshape", context, g.ints(0, 0, h))
    context = bert_linear(g, weights, p + "attention.output.dense", context, h, h)
    x = bert_norm(g, cfg, weights, p + "attention.output.LayerNorm", g.op("Add", context, x))
    y = gelu(g, bert_linear(g, weights, p + "intermediate.dense", x, h, cfg.inner))
    y = bert_linear(g, weights, p + "output.dense", y, cfg.inner, h)
    return bert_norm(g, cfg, weights, p + "output.LayerNorm", g.op("Add", y, x))


def gelu(g, x):
    """The exact one, written out as exporters write it."""
    erf = g.op("Erf", g.op("Div", x, g.scalar(math.sqrt(2))))
    return g.op("Mul", g.op("Mul", x, g.op("Add", erf, g.scalar(1.0))), g.scalar(0.5))


@dataclass(frozen=True)
class LlamaConfig:
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    inner: int
    vocab: int
    theta: float = 10000.0
    eps: float = 1e-5
    positions: int = 4096

    @property
    def head_dim(self):
        return self.hidden // self.heads


LLAMA_TINY = LlamaConfig(layers=2, hidden=64, heads=4, kv_heads=2, inner=176, vocab=512)
LLAMA_160M = LlamaConfig(layers=12, hidden=768, heads=12, kv_heads=12, inner=2048, vocab=32000)
LLAMA_1B = LlamaConfig(layers=22, hidden=2048, heads=32, kv_heads=4, inner=5632, vocab=32000)


def llama(cfg=LLAMA_160M, seed=0):
    """input_ids: int64 (batch, new); past_key_i, past_value_i: float32 (batch, kv_heads, past, d)
    → logits: (batch, new, vocab); key_i, value_i: (batch, kv_heads, past + new, d)."""
    g = Graph("llama", seed=seed)
    ids = g.input("input_ids", ["batch", "new"], TensorProto.INT64)
    cache = ["batch", cfg.kv_heads, "past", cfg.head_dim]
    past = [
        (g.input(f"past_key_{i}", cache), g.input(f"past_value_{i}", cache))
        for i in range(cfg.layers)
    ]
    places = Places(g, cfg, ids, past[0][0])
    x = g.op("Gather", g.weight(cfg.vocab, cfg.hidden, scale=0.02), ids)
    for i, (past_k, past_v) in enumerate(past):
        x = llama_attention(g, cfg, places, i, x, past_k, past_v)
        x = llama_feed_forward(g, cfg, x)
    logits = g.op("MatMul", rms_norm(g, cfg, x), g.weight(cfg.hidden, cfg.vocab))
    g.output(logits, "logits", ["batch", "new", cfg.vocab])
    return g


def size(g, x, axis):
    """Dimension `axis` of `x`: int64 (1,)."""
    return g.op("Slice", g.op("Shape", x), g.ints(axis), g.ints(axis + 1))


class Places:
    """What depends on token positions alone: rotary tables and the causal mask."""

    def __init__(self, g, cfg, ids, past_key):
        new, old = size(g, ids, 1), size(g, past_key, 2)
        self.batch, self.total = size(g, ids, 0), g.op("Add", new, old)
        frequency = cfg.theta ** (-np.arange(0, cfg.head_dim, 2, dtype=np.float64) / cfg.head_dim)
        angles = np.arange(cfg.positions)[:, None] * frequency[None]
        one = g.const(np.array([1], np.int64), "one")
        zero = g.const(np.array([0], np.int64), "zero")
        rows = g.op("Range", g.op("Squeeze", old), g.op("Squeeze", self.total), one)  # (new,)
        cols = g.op("Range", zero, g.op("Squeeze", self.total), one)  # (past + new,)
        self.cos = g.op("Gather", g.const(np.cos(angles).astype(np.float32), "cos"), rows)
        self.sin = g.op("Gather", g.const(np.sin(angles).astype(np.float32), "sin"), rows)
        row, col = g.op("Unsqueeze", rows, g.ints(1)), g.op("Unsqueeze", cols, g.ints(0))
        allowed = g.op("LessOrEqual", col, row)
        self.bias = g.op("Where", allowed, g.scalar(0.0), g.scalar(-1e9))  # (new, past + new)


def rms_norm(g, cfg, x):
    mean = g.op("ReduceMean", g.op("Mul", x, x), axes=[-1], keepdims=1)
    root = g.op("Sqrt", g.op("Add", mean, g.scalar(cfg.eps)))
    gain = g.const(np.ones(cfg.hidden, np.float32), "g")
    return g.op("Mul", g.op("Div", x, root), gain)


def rotate(g, cfg, places, x):
    """Rotary embedding of (batch, heads, new, d)."""
    half = cfg.head_dim // 2
    a, b = g.op("Split", x, g.ints(half, half), outputs=2, axis=-1)
    left = g.op("Sub", g.op("Mul", a, places.cos), g.op("Mul", b, places.sin))
    right = g.op("Add", g.op("Mul", b, places.cos), g.op("Mul", a, places.sin))
    return g.op("Concat", left, right, axis=-1)


def repeat_heads(g, cfg, places, x):
    """Each key/value head for its group of query heads: (batch, kv_heads, past + new, d) →
    (batch, heads, past + new, d)."""
    group = cfg.heads // cfg.kv_heads
    if group == 1:
        return x
    x = g.op("Expand", g.op("Unsqueeze", x, g.ints(2)), g.ints(1, 1, group, 1, 1))
    heads, dim = g.ints(cfg.heads), g.ints(cfg.head_dim)
    return g.op("Reshape", x, g.op("Concat", places.batch, heads, places.total, dim, axis=0))


def llama_attention(g, cfg, places, i, x, past_k, past_v):
    """(batch, new, h) → the same; writes the outputs key_i and value_i."""
    h, d, kv = cfg.hidden, cfg.head_dim, cfg.kv_heads * cfg.head_dim
    y = rms_norm(g, cfg, x)

    def project(width, heads):
        z = g.op("Reshape", g.op("MatMul", y, g.weight(h, width)), g.ints(0, 0, heads, d))
        return g.op("Transpose", z, perm=[0, 2, 1, 3])  # (batch, heads, new, d)

    q = rotate(g, cfg, places, project(h, cfg.heads))
    k = rotate(g, cfg, places, project(kv, cfg.kv_heads))
    v = project(kv, cfg.kv_heads)
    k = g.op("Concat", past_k, k, axis=2)
    v = g.op("Concat", past_v, v, axis=2)
    g.output(k, f"key_{i}", ["batch", cfg.kv_heads, "past + new", d])
    g.output(v, f"value_{i}", ["batch", cfg.kv_heads, "past + new", d])
    keys = g.op("Transpose", repeat_heads(g, cfg, places, k), perm=[0, 1, 3, 2])
    scores = g.op("Mul", g.op("MatMul", q, keys), g.scalar(d**-0.5))
    probs = g.op("Softmax", g.op("Add", scores, places.bias), axis=-1)
    context = g.op("MatMul", probs, repeat_heads(g, cfg, places, v))
    context = g.op("Reshape", g.op("Transpose", context, perm=[0, 2, 1, 3]), g.ints(0, 0, h))
    return g.op("Add", x, g.op("MatMul", context, g.weight(h, h)))


def llama_feed_forward(g, cfg, x):
    """SwiGLU: (batch, new, h) → the same."""
    y = rms_norm(g, cfg, x)
    gate = g.op("MatMul", y, g.weight(cfg.hidden, cfg.inner))
    up = g.op("MatMul", y, g.weight(cfg.hidden, cfg.inner))
    y = g.op("Mul", g.op("Mul", gate, g.op("Sigmoid", gate)), up)
    return g.op("Add", x, g.op("MatMul", y, g.weight(cfg.inner, cfg.hidden)))
