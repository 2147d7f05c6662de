"""ResNet and MobileNetV2 as ONNX with symbolic batch, height and width; random weights.

Both map image: float32 (batch, 3, height, width) → logits: float32 (batch, classes).
"""
from dataclasses import dataclass

import numpy as np
from onnx_graph import Graph


def conv(g, x, n_in, n_out, kernel, stride=1, groups=1, activation=None):
    """Convolution, batch norm, activation: (batch, n_in, H, W) → (batch, n_out, ⌈H/stride⌉, …)."""
    fan_in = n_in // groups * kernel * kernel
    w = g.weight(n_out, n_in // groups, kernel, kernel, scale=(2.0 / fan_in) ** 0.5)
    x = g.op(
        "Conv",
        x,
        w,
        kernel_shape=[kernel] * 2,
        strides=[stride] * 2,
        pads=[kernel // 2] * 4,
        group=groups,
    )
    normal = g.rng.standard_normal
    scale = g.const(1 + 0.1 * normal(n_out).astype(np.float32), "bn")
    shift = g.const(0.1 * normal(n_out).astype(np.float32), "bn")
    mean = g.const(0.1 * normal(n_out).astype(np.float32), "bn")
    variance = g.const((1 + 0.1 * g.rng.random(n_out)).astype(np.float32), "bn")
    x = g.op("BatchNormalization", x, scale, shift, mean, variance, epsilon=1e-5)
    if activation == "relu":
        return g.op("Relu", x)
    if activation == "relu6":
        return g.op("Clip", x, g.scalar(0.0), g.scalar(6.0))
    return x


def classifier(g, x, width, classes):
    """(batch, width, H, W) → logits (batch, classes)"""
    x = g.op("Flatten", g.op("GlobalAveragePool", x), axis=1)
    bias = np.zeros(classes, np.float32)
    logits = g.op("Gemm", x, g.weight(width, classes), g.const(bias, "b"))
    g.output(logits, "logits", ["batch", classes])


@dataclass(frozen=True)
class ResNetConfig:
    """Bottleneck blocks per stage, and the inner width of the first stage (doubled by each)."""

    blocks: tuple = (3, 4, 6, 3)
    width: int = 64
    classes: int = 1000


RESNET_TINY = ResNetConfig(blocks=(1, 2, 1), width=8, classes=10)
RESNET50 = ResNetConfig()


def resnet(cfg=RESNET50, seed=0):
    g = Graph("resnet50", seed=seed)
    x = g.input("image", ["batch", 3, "height", "width"])
    x = conv(g, x, 3, cfg.width, 7, stride=2, activation="relu")
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    width = cfg.width
    for stage, blocks in enumerate(cfg.blocks):
        inner = cfg.width << stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            y = conv(g, x, width, inner, 1, activation="relu")
            y = conv(g, y, inner, inner, 3, stride, activation="relu")
            y = conv(g, y, inner, inner * 4, 1)
            if not block:
                x = conv(g, x, width, inner * 4, 1, stride)
            x = g.op("Relu", g.op("Add", x, y))
            width = inner * 4
    classifier(g, x, width, cfg.classes)
    return g


@dataclass(frozen=True)
class MobileNetConfig:
    """Inverted residual stages as (expansion, width, repeats, first stride), then the head."""

    stem: int = 32
    stages: tuple = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    head: int = 1280
    classes: int = 1000


MOBILENET_TINY = MobileNetConfig(
    stem=8, stages=((1, 8, 1, 1), (6, 12, 2, 2), (6, 16, 2, 2), (6, 24, 1, 1)), head=64, classes=10
)
MOBILENET_V2 = MobileNetConfig()


def mobilenet(cfg=MOBILENET_V2, seed=0):
    g = Graph("mobilenet_v2", seed=seed)
    x = g.input("image", ["batch", 3, "height", "width"])
    x = conv(g, x, 3, cfg.stem, 3, stride=2, activation="relu6")
    width = cfg.stem
    for expansion, n_out, repeats, first in cfg.stages:
        for i in range(repeats):
            stride, inner = first if i == 0 else 1, width * expansion
            y = x if expansion == 1 else conv(g, x, width, inner, 1, activation="relu6")
            y = conv(g, y, inner, inner, 3, stride, groups=inner, activation="relu6")
            y = conv(g, y, inner, n_out, 1)
            x = g.op("Add", x, y) if stride == 1 and width == n_out else y
            width = n_out
    x = conv(g, x, width, cfg.head, 1, activation="relu6")
    classifier(g, x, cfg.head, cfg.classes)
    return g
