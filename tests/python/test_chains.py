"""Chains whose sizes are made of sizes (models/chains.py) give what ONNX Runtime gives: long enough that sizes
have names, and that the host function has several parts."""
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnxruntime
import repose_c
import repose_cli

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models"))
import chains  # noqa: E402
import onnx  # noqa: E402

STEPS = 40
# Halved more often than a size has bits; `scalars`: until its result would be too large.
STEPS_OF = {"same": 70, "same_computed": 70, "scalars": 5}


def targets(rank, rng):
    """Shapes for 24 elements, some with a dimension to be found or to be kept."""
    shape, at = [1] * rank, int(rng.integers(rank))
    for factor in (2, 2, 2, 3):
        shape[int(rng.integers(rank))] *= factor
    if rng.random() < 0.5:
        shape[at] = -1
    return np.array(shape)


def reshape_feeds(rank):
    def feeds(rng):
        shape = [24] + [1] * (rank - 1)
        x = rng.standard_normal(shape).astype(np.float32)
        return {"x": x, **{f"to_{i}": targets(rank, rng) for i in range(STEPS)}}

    return feeds


def slice_feeds(rng):
    bounds = {f"{end}_{i}": rng.integers(low, high, 1)
              for i in range(STEPS) for end, low, high in [("from", -3, 2), ("to", 3, 900)]}
    return {"x": rng.standard_normal((200, 3)).astype(np.float32), **bounds}


def crop_feeds(rng):
    lengths = {f"length_{i}": np.array([int(n)]) for i, n in enumerate(rng.integers(30, 100, STEPS))}
    return {"x": rng.standard_normal((2, 99)).astype(np.float32), **lengths}


def image_feeds(rng):
    return {"x": rng.standard_normal((2, 2, 37, 50)).astype(np.float32)}


def sizes_of_broadcast(rng):
    return [int(rng.choice([1, n])) for n in (4, 7)]


def where_feeds(rng):
    masks = {f"mask_{i}": rng.random(sizes_of_broadcast(rng)) < 0.5 for i in range(STEPS)}
    both = {name: rng.standard_normal((4, 7)).astype(np.float32) for name in ("x", "other")}
    return {**both, **masks}


def add_feeds(rng):
    return {name: rng.standard_normal(sizes_of_broadcast(rng)).astype(np.float32)
            for name in ["x", *(f"a_{i}" for i in range(STEPS))]}


FEEDS = {
    "reshapes": reshape_feeds(2),
    "reshapes_4d": reshape_feeds(4),
    "slices": slice_feeds,
    "crops": crop_feeds,
    "same": image_feeds,
    "same_computed": image_feeds,
    "wheres": where_feeds,
    "adds": add_feeds,
    "scalars": lambda rng: {"x": rng.standard_normal((3, 3)).astype(np.float32)},
}


class ChainsTest(unittest.TestCase):
    def test_every_chain_has_inputs(self):
        self.assertEqual(sorted(FEEDS), sorted(chains.CHAINS))

    def test_chains_agree(self):
        for name, feeds_of in FEEDS.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                steps = STEPS_OF.get(name, STEPS)
                path, library = Path(folder) / "chain.onnx", Path(folder) / "chain.so"
                onnx.save(chains.CHAINS[name](steps).model(), path)
                done = repose_cli.compile_model(repose_cli.default_repose(), path, library)
                self.assertTrue(done.ok, done.text)
                session = onnxruntime.InferenceSession(path)
                names = {i.name for i in session.get_inputs()}
                with repose_c.Model(library) as model:
                    for seed in range(4):
                        feeds = {k: v for k, v in feeds_of(np.random.default_rng(seed)).items() if k in names}
                        (want,), (have,) = session.run(None, feeds), model(feeds)
                        self.assertEqual(have.shape, want.shape)
                        np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-6)


if __name__ == "__main__":
    unittest.main()
