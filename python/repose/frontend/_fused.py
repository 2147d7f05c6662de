"""Fused kernels of PyTorch for inference, which it has no decompositions for, as what they compute.

`torch.nn.TransformerEncoderLayer` and `torch.nn.MultiheadAttention` call them under `torch.no_grad()`.
"""
from __future__ import annotations

from typing import Any, Callable


def _additive_mask(mask: Any, mask_type: int | None, like: Any) -> Any:
    """What is added to the scores, (batch or 1, heads or 1, queries or 1, keys): −∞ where the mask is not 0.
    mask_type: 0 (queries, keys), 1 (batch, keys), 2 (batch, heads, queries, keys)"""
    import torch

    if mask is None:
        return None
    masked = mask.to(torch.bool)
    if mask_type == 1:
        masked = masked[:, None, None, :]
    elif masked.dim() == 2:
        masked = masked[None, None]
    return torch.zeros_like(masked, dtype=like.dtype).masked_fill(masked, float("-inf"))


def _attention(query: Any, key: Any, value: Any, heads: int, weight: Any, bias: Any, mask: Any,
               need_weights: bool) -> tuple[Any, Any]:
    """The heads' results, (batch, queries, heads · size), and their weights where these are wanted.
    `weight`, `bias`: of the three projections, one behind the other."""
    import torch
    from torch.nn import functional as F

    parts = zip((query, key, value), weight.chunk(3), bias.chunk(3))
    q, k, v = (F.linear(x, w, b).unflatten(-1, (heads, -1)).transpose(1, 2) for x, w, b in parts)
    weights = None
    if need_weights:
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        weights = torch.softmax(scores if mask is None else scores + mask, -1)
        y = weights @ v
    else:
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return y.transpose(1, 2).flatten(2), weights


def _native_multi_head_attention(
        query: Any, key: Any, value: Any, embed_dim: int, num_head: int, qkv_weight: Any, qkv_bias: Any,
        proj_weight: Any, proj_bias: Any, mask: Any = None, need_weights: bool = True,
        average_attn_weights: bool = True, mask_type: int | None = None) -> tuple[Any, Any]:
    from torch.nn import functional as F

    y, weights = _attention(query, key, value, num_head, qkv_weight, qkv_bias,
                            _additive_mask(mask, mask_type, query), need_weights)
    if weights is not None and average_attn_weights:
        weights = weights.mean(1)
    return F.linear(y, proj_weight, proj_bias), weights


def _transformer_encoder_layer_fwd(
        src: Any, embed_dim: int, num_heads: int, qkv_weight: Any, qkv_bias: Any, proj_weight: Any,
        proj_bias: Any, use_gelu: bool, norm_first: bool, eps: float, norm_weight_1: Any,
        norm_bias_1: Any, norm_weight_2: Any, norm_bias_2: Any, ffn_weight_1: Any, ffn_bias_1: Any,
        ffn_weight_2: Any, ffn_bias_2: Any, mask: Any = None, mask_type: int | None = None) -> Any:
    from torch.nn import functional as F

    def attention(x: Any) -> Any:
        return _native_multi_head_attention(x, x, x, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight,
                                            proj_bias, mask, False, mask_type=mask_type)[0]

    def feed_forward(x: Any) -> Any:
        x = F.linear(x, ffn_weight_1, ffn_bias_1)
        return F.linear(F.gelu(x) if use_gelu else F.relu(x), ffn_weight_2, ffn_bias_2)

    def norm_1(x: Any) -> Any:
        return F.layer_norm(x, (embed_dim,), norm_weight_1, norm_bias_1, eps)

    def norm_2(x: Any) -> Any:
        return F.layer_norm(x, (embed_dim,), norm_weight_2, norm_bias_2, eps)

    if norm_first:
        x = src + attention(norm_1(src))
        return x + feed_forward(norm_2(x))
    x = norm_1(src + attention(src))
    return norm_2(x + feed_forward(x))


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Overload → function, as `run_decompositions` and AOTAutograd take them."""
    import torch

    aten = torch.ops.aten
    return {aten._native_multi_head_attention.default: _native_multi_head_attention,
            aten._transformer_encoder_layer_fwd.default: _transformer_encoder_layer_fwd}
