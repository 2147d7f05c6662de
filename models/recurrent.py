"""Recurrent layers: 256 inputs, 256 hidden, random weights; for benchmarks.

    lstm, gru, rnn   x: float32 (steps, batch, 256) → y (steps, 1, batch, 256), and the last states
"""
from onnx_graph import Graph

WIDTH = 256
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def layer(kind):
    g = Graph(kind.lower())
    x, rows = g.input("x", ["steps", "batch", WIDTH]), GATES[kind] * WIDTH
    weights = [g.weight(1, rows, WIDTH), g.weight(1, rows, WIDTH), g.weight(1, 2 * rows)]
    states = 2 if kind == "LSTM" else 1
    y, *last = g.op(kind, x, *weights, outputs=1 + states, hidden_size=WIDTH)
    g.output(y, "y", ["steps", 1, "batch", WIDTH])
    for name, value in zip(["h", "c"], last):
        g.output(value, name, [1, "batch", WIDTH])
    return g
