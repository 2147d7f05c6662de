"""Models of PyTorch with random weights, exported with symbolic dimensions, compiled once and compared
with PyTorch at other sizes.

    torch_zoo.py [--list] [--every N] [--keep FOLDER] [NAME…]     NAME: a part of a model's name

A model of FAILING has to fail with what is said there: one that no longer does is to be taken out.

Runs in an environment of its own (`./dev test torch`), with `repose` on PYTHONPATH.
"""
from __future__ import annotations

import argparse
import collections
import dataclasses
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, Callable

import torch
from torch.export import Dim

import repose
from repose.frontend import torch as frontend
from repose.torch import whole_recurrent_layers

TOLERANCE = 1e-4  # of the largest magnitude of a result


@dataclasses.dataclass
class Case:
    make: Callable[[], torch.nn.Module]
    inputs: Callable[..., tuple]
    shapes: Any  # torch.export's dynamic_shapes, by position
    sizes: list  # for `inputs`; the first is the one that is exported


CASES: dict[str, Case] = {}


def flat(value) -> list[torch.Tensor]:
    """The tensors of a result, in the order of its tree."""
    leaves, _ = torch.utils._pytree.tree_flatten(value)
    return [v for v in leaves if isinstance(v, torch.Tensor)]


class Flat(torch.nn.Module):
    """A module with its tensors as results, called by position."""

    def __init__(self, inner, names=None, **fixed):
        super().__init__()
        self.inner, self.names, self.fixed = inner, names, fixed

    def forward(self, *inputs):
        if self.names is None:
            return tuple(flat(self.inner(*inputs, **self.fixed)))
        return tuple(flat(self.inner(**dict(zip(self.names, inputs)), **self.fixed)))


def ids(batch, length, top=90):
    return torch.randint(1, top, (batch, length))


# ---- transformers: text

TEXT = dict(vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=48, max_position_embeddings=256)
TEXT_SIZES = [(2, 9), (3, 17), (1, 5), (4, 32)]


def masked(batch, length):
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[0, length - 2:] = 0
    return ids(batch, length), mask


def text(kind, *, model="Model", only_ids=False, **changes):
    """A model of transformers over token ids and a mask."""

    def make():
        import transformers
        config = getattr(transformers, kind + "Config")(**{**TEXT, **changes})
        if hasattr(config, "use_cache"):
            config.use_cache = False
        return Flat(getattr(transformers, kind + model)(config),
                    ["input_ids"] if only_ids else ["input_ids", "attention_mask"])

    batch, length = Dim("batch"), Dim("length", max=128)
    shape = {0: batch, 1: length}
    if only_ids:
        return Case(make, lambda b, n: (ids(b, n),), ((shape,),), TEXT_SIZES)
    return Case(make, masked, ((shape, shape),), TEXT_SIZES)


for kind in ["Bert", "Roberta", "Electra", "XLMRoberta", "MPNet", "Camembert", "RoFormer", "Ernie",
             "MegatronBert", "Nystromformer", "ConvBert", "Data2VecText"]:
    CASES[f"text/{kind}"] = text(kind)
CASES["text/Albert"] = text("Albert", embedding_size=16)
CASES["text/DistilBert"] = text("DistilBert", dim=32, n_layers=2, n_heads=4, hidden_dim=48)
CASES["text/Deberta"] = text("Deberta")
CASES["text/DebertaV2"] = text("DebertaV2", relative_attention=True, pos_att_type=["c2p", "p2c"])
CASES["text/ModernBert"] = text("ModernBert", global_attn_every_n_layers=2, local_attention=16,
                                pad_token_id=0, cls_token_id=1, sep_token_id=2, bos_token_id=1,
                                eos_token_id=2, reference_compile=False)
CASES["text/SqueezeBert"] = text("SqueezeBert", embedding_size=32)
CASES["text/FNet"] = text("FNet", only_ids=True)

CASES["text/GPT2"] = text("GPT2", n_embd=32, n_layer=2, n_head=4, n_positions=256, bos_token_id=1,
                          eos_token_id=2)
CASES["text/GPTNeo"] = text("GPTNeo", num_layers=2, num_heads=4,
                            attention_types=[[["global", "local"], 1]], window_size=8,
                            bos_token_id=1, eos_token_id=2)
for kind in ["GPTNeoX", "OPT", "Llama", "Mistral", "Qwen2", "Qwen3", "Phi", "StableLm", "Olmo",
             "Granite", "Gemma", "Gemma2", "Cohere", "Falcon", "Bloom"]:
    more = {"num_key_value_heads": 2} if kind in ("Llama", "Mistral", "Qwen2", "Qwen3", "StableLm",
                                                  "Granite", "Gemma", "Gemma2") else {}
    more |= {"head_dim": 8} if kind in ("Gemma", "Gemma2", "Qwen3") else {}
    more |= {"ffn_dim": 48, "word_embed_proj_dim": 32} if kind == "OPT" else {}
    more |= {"n_layer": 2, "n_head": 4} if kind == "Bloom" else {}
    CASES[f"text/{kind}"] = text(kind, pad_token_id=0, bos_token_id=1, eos_token_id=2, **more)


def translation(kind, **changes):
    """An encoder–decoder of transformers."""

    def make():
        import transformers
        config = getattr(transformers, kind + "Config")(**{**TEXT, **changes})
        config.use_cache = False
        return Flat(getattr(transformers, kind + "Model")(config),
                    ["input_ids", "attention_mask", "decoder_input_ids"])

    batch, length, target = Dim("batch"), Dim("length", max=128), Dim("target", max=128)
    return Case(make, lambda b, n, k: (*masked(b, n), ids(b, k)),
                (({0: batch, 1: length}, {0: batch, 1: length}, {0: batch, 1: target}),),
                [(2, 9, 6), (3, 17, 4), (1, 5, 12), (4, 24, 8)])


SIDES = dict(d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
             decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, pad_token_id=0,
             bos_token_id=1, eos_token_id=2, decoder_start_token_id=2)
for kind in ["Bart", "Marian", "Pegasus"]:
    CASES[f"translation/{kind}"] = translation(kind, **SIDES)
CASES["translation/T5"] = translation("T5", d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
                                      decoder_start_token_id=0)

# ---- transformers: images and sound


def image_inputs(batch, height, width):
    return (torch.randn(batch, 3, height, width),)


BATCHES = [(2,), (3,), (1,), (5,)]


VISION = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
              patch_size=8)


def picture(kind, side=32, only_batch=True, sizes=VISION, **changes):
    """A model of transformers over images. `sizes`: {} for models of stages, where the names of
    VISION mean other things."""

    def make():
        import transformers
        config = getattr(transformers, kind + "Config")(**{"image_size": side, **sizes, **changes})
        return Flat(getattr(transformers, kind + "Model")(config), ["pixel_values"])

    if only_batch:
        return Case(make, lambda b: image_inputs(b, side, side), (({0: Dim("batch")},),), BATCHES)
    step = 32
    shape = {0: Dim("batch"), 2: step * Dim("h", min=1, max=16), 3: step * Dim("w", min=1, max=16)}
    return Case(make, lambda b, h, w: image_inputs(b, step * h, step * w), ((shape,),),
                [(2, 2, 3), (3, 3, 2), (1, 4, 4), (2, 3, 5)])


for kind in ["ViT", "DeiT", "Beit", "Dinov2", "SiglipVision", "CLIPVision"]:
    CASES[f"image/{kind}"] = picture(kind)
CASES["image/Swin"] = picture("Swin", sizes={}, patch_size=4, embed_dim=16, depths=[1, 1],
                              num_heads=[2, 4], window_size=4)
CASES["image/ConvNext"] = picture("ConvNext", only_batch=False, sizes={}, hidden_sizes=[16, 24, 32, 48],
                                  depths=[1, 1, 1, 1], num_stages=4, patch_size=4)
CASES["image/ResNet"] = picture("ResNet", only_batch=False, embedding_size=16,
                                hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1])
CASES["image/Segformer"] = picture("Segformer", only_batch=False, num_encoder_blocks=4,
                                   depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32],
                                   num_attention_heads=[1, 2, 2, 4], sr_ratios=[8, 4, 2, 1])


def sound(kind):
    def make():
        import transformers
        config = getattr(transformers, kind + "Config")(
            **{**TEXT, "conv_dim": (16, 16), "conv_stride": (5, 2), "conv_kernel": (10, 3),
               "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 16,
               "num_conv_pos_embedding_groups": 4, "apply_spec_augment": False})
        return Flat(getattr(transformers, kind + "Model")(config), ["input_values"])

    shape = {0: Dim("batch"), 1: Dim("samples", min=100, max=100000)}
    return Case(make, lambda b, n: (torch.randn(b, n),), ((shape,),),
                [(2, 800), (1, 1234), (3, 401), (2, 2000)])


for kind in ["Wav2Vec2", "Hubert"]:
    CASES[f"sound/{kind}"] = sound(kind)

# ---- torchvision and timm

PICTURE_SIZES = [(2, 3, 2), (1, 2, 4), (3, 4, 3), (2, 5, 2)]


def scaled(make, step=32):
    """A network over images of any multiple of a size."""
    shape = {0: Dim("batch"), 2: step * Dim("h", min=1, max=16), 3: step * Dim("w", min=1, max=16)}
    return Case(make, lambda b, h, w: image_inputs(b, step * h, step * w), ((shape,),),
                PICTURE_SIZES)


def batched(make, side):
    return Case(make, lambda b: image_inputs(b, side, side), (({0: Dim("batch")},),), BATCHES)


def torchvision_model(name, **options):
    def make():
        import torchvision
        return Flat(torchvision.models.get_model(name, weights=None, **options))

    return make


for name in ["resnet18", "vgg11_bn", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5",
             "squeezenet1_1", "efficientnet_b0", "regnet_x_400mf", "densenet121", "mnasnet0_5",
             "convnext_tiny"]:
    CASES[f"torchvision/{name}"] = scaled(torchvision_model(name))
CASES["torchvision/googlenet"] = scaled(torchvision_model("googlenet", aux_logits=False,
                                                          init_weights=False))
CASES["torchvision/swin_t"] = batched(torchvision_model("swin_t"), 64)
CASES["torchvision/deeplabv3_mobilenet_v3_large"] = scaled(
    torchvision_model("deeplabv3_mobilenet_v3_large", weights_backbone=None))


def timm_model(name, **options):
    def make():
        import timm
        return Flat(timm.create_model(name, pretrained=False, **options))

    return make


for name in ["resnet18d", "mobilenetv3_small_050", "efficientnet_lite0", "convnext_atto",
             "regnety_002", "ghostnet_050", "repvgg_a0", "edgenext_xx_small", "fbnetc_100",
             "hardcorenas_a"]:
    CASES[f"timm/{name}"] = scaled(timm_model(name))
CASES["timm/vit_tiny_patch16_224"] = batched(timm_model("vit_tiny_patch16_224", img_size=64), 64)
CASES["timm/mixer_s32_224"] = batched(timm_model("mixer_s32_224", img_size=64), 64)
CASES["timm/deit_tiny_patch16_224"] = batched(timm_model("deit_tiny_patch16_224", img_size=64), 64)

# ---- recurrent


def recurrent(kind, **options):
    return Case(lambda: Flat(kind(8, 12, num_layers=2, batch_first=True, **options)),
                lambda b, n: (torch.randn(b, n, 8),), (({0: Dim("batch"), 1: Dim("length")},),),
                [(2, 7), (3, 11), (1, 5), (5, 1)])


CASES["recurrent/LSTM"] = recurrent(torch.nn.LSTM)
CASES["recurrent/GRU"] = recurrent(torch.nn.GRU)
CASES["recurrent/BiLSTM"] = recurrent(torch.nn.LSTM, bidirectional=True)

# ---- layers of PyTorch that have fused kernels for inference


def encoder(**options):
    def make():
        layer = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, **options)
        return Flat(torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))

    return Case(make, lambda b, n: (torch.randn(b, n, 32),), (({0: Dim("batch"), 1: Dim("seq")},),), TEXT_SIZES)


CASES["layers/TransformerEncoder"] = encoder()
CASES["layers/TransformerEncoderNormFirst"] = encoder(norm_first=True, activation="gelu")

# ---- What is known to fail: a model → a part of what is said about it

FAILING: dict[str, str] = {
    "text/FNet": "`aten._fft_c2c.default` is not supported",  # complex numbers
}

# ---- Running


def difference(wanted, got) -> str:
    """What is wrong; empty: nothing."""
    got = got if isinstance(got, tuple) else (got,)
    if len(wanted) != len(got):
        return f"{len(got)} results, expected {len(wanted)}"
    for i, (a, b) in enumerate(zip(wanted, got)):
        if a.dtype != b.dtype or a.shape != b.shape:
            return f"result {i} is {b.dtype} {tuple(b.shape)}, expected {a.dtype} {tuple(a.shape)}"
        x, y = a.double(), b.double()
        if not bool((x.isfinite() == y.isfinite()).all()):
            return f"result {i}: other elements are not finite"
        scale = float(x[x.isfinite()].abs().max()) if x.isfinite().any() else 1.0
        error = float((x - y)[x.isfinite()].abs().max()) if x.isfinite().any() else 0.0
        if error > TOLERANCE * max(scale, 1e-6):
            return f"result {i}: off by {error / max(scale, 1e-6):.2g} of the largest magnitude"
    return ""


def run(case: Case, keep: Path | None, name: str) -> str:
    torch.manual_seed(0)
    model = case.make().eval()
    inputs = case.inputs(*case.sizes[0])
    with torch.no_grad():
        with whole_recurrent_layers():
            program = torch.export.export(model, inputs, dynamic_shapes=case.shapes, strict=False)
        if keep:
            contents = frontend.archive(program)
            (keep / (name.replace("/", "-") + ".pt2")).write_bytes(contents)
        compiled = repose.compile(program)
        for sizes in case.sizes[1:]:
            given = case.inputs(*sizes)
            wrong = difference(flat(model(*given)), compiled(*given))
            if wrong:
                return f"at {sizes}: {wrong}"
    return ""


def judge(name: str, wrong: str) -> str:
    """What came out, beside FAILING."""
    reason = FAILING.get(name)
    if reason is None:
        return "FAILED" if wrong else "ok"
    return "known" if reason in wrong else "FAILED"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth model")
    parser.add_argument("--keep", type=Path, help="write the archives there")
    parser.add_argument("--trace", action="store_true", help="print tracebacks")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    chosen = [n for n in CASES if not options.names or any(part in n for part in options.names)]
    chosen = chosen[::options.every]
    if options.list:
        print("\n".join(chosen))
        return 0
    counts = collections.Counter()
    for name in chosen:
        start = time.process_time()
        try:
            wrong = run(CASES[name], options.keep, name)
        except Exception as error:
            if options.trace:
                traceback.print_exc()
            wrong = f"{type(error).__name__}: {str(error).strip()[:600]}"
        verdict = judge(name, wrong)
        if verdict == "FAILED" and name in FAILING:
            wrong = f"expected to fail with `{FAILING[name]}`: " + (wrong or "agrees, so take it out of FAILING")
        counts[verdict] += 1
        print(f"{verdict:6} {name} ({time.process_time() - start:.1f} s of CPU)" + (f": {wrong}" if wrong else ""),
              flush=True)
    print(f"torch: {counts['ok']} of {len(chosen)} models agree with PyTorch, {counts['known']} are known not to, "
          f"{counts['FAILED']} failed")
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
