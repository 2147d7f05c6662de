"""Models inside of packages of PyPI (tests/python/requirements-no-deps.txt) give what ONNX Runtime gives, each at many
sizes from one compilation: voice activity (silero-vad, all its files), types of files (magika), pitch (swift-f0), notes
(basic-pitch)."""
import importlib.util
import itertools
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnxruntime
import repose_c
import repose_cli


def file_of(package, name):
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise FileNotFoundError(f"the Python package {package} is not installed (`./dev` installs it)")
    return next(Path(spec.origin).parent.rglob(name))


def sound(rng, *shape):
    """A tone that swells, and noise."""
    steps = np.arange(shape[-1])
    return (np.sin(steps * 0.07) * steps / shape[-1] * 0.5 + 0.1 * rng.standard_normal(shape)).astype(np.float32)


def voice_feeds(rng, rate=None):
    for batch, length in itertools.product((1, 2, 5), (512, 576)):
        feeds = {"input": sound(rng, batch, length), "state": rng.standard_normal((2, batch, 128)).astype(np.float32)}
        yield feeds | ({"sr": np.array(rate, np.int64)} if rate else {})


def narrow_voice_feeds(rng):
    for feeds in voice_feeds(rng, 8000):
        yield feeds | {"input": np.ascontiguousarray(feeds["input"][:, ::2])}


def window_feeds(rng):
    for _ in range(3):
        yield {"input": sound(rng, 1, 576), "state": rng.standard_normal((2, 1, 128)).astype(np.float32)}


def sequence_feeds(rng):
    for n in (1, 2, 7, 40):
        memory = {name: rng.standard_normal((1, 1, 128)).astype(np.float32) for name in "hc"}
        yield {"input": sound(rng, n, 576)} | memory


def bytes_feeds(rng):
    for n in (1, 2, 7):
        yield {"bytes": rng.integers(0, 257, (n, 2048)).astype(np.int32)}


def pitch_feeds(rng):
    for n in (1000, 4096, 16000, 33333):
        yield {"audio": sound(rng, 1, n), "fmin": np.array(50, np.float32), "fmax": np.array(1500, np.float32)}


def note_feeds(rng):
    for n in (1, 2):
        yield {"serving_default_input_2:0": sound(rng, n, 43844)[..., None]}


class Packages(unittest.TestCase):
    def check(self, package, name, *feeds):
        path = file_of(package, name)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "model.so"
            done = repose_cli.compile_model(repose_cli.default_repose(), path, library)
            self.assertTrue(done.ok, done.text)
            with repose_c.Model(library) as model:
                for given in itertools.chain(*(make(np.random.default_rng(5)) for make in feeds)):
                    sizes = {key: array.shape for key, array in given.items()}
                    for want, have in zip(session.run(None, given), model(given), strict=True):
                        self.assertEqual((want.dtype, want.shape), (have.dtype, have.shape), sizes)
                        largest = max(1.0, float(np.abs(want).max(initial=0)))
                        self.assertLess(float(np.abs(want - have).max(initial=0)) / largest, 1e-3, sizes)

    def test_voice(self):
        self.check("silero_vad", "silero_vad.onnx", lambda rng: voice_feeds(rng, 16000), narrow_voice_feeds)

    def test_voice_without_branches(self):
        self.check("silero_vad", "silero_vad_op18_ifless.onnx", lambda rng: voice_feeds(rng, 16000), narrow_voice_feeds)

    def test_voice_at_one_rate(self):
        self.check("silero_vad", "silero_vad_16k_op15.onnx", lambda rng: voice_feeds(rng, 16000))

    def test_voice_in_half_precision(self):
        self.check("silero_vad", "silero_vad_half.onnx", voice_feeds)

    def test_voice_of_one_window(self):
        self.check("silero_vad", "silero_vad_openvino_16k.onnx", window_feeds)

    def test_voice_of_a_sequence(self):
        self.check("silero_vad", "silero_vad_16k_sequence.onnx", sequence_feeds)

    def test_types_of_files(self):
        self.check("magika", "model.onnx", bytes_feeds)

    def test_pitch(self):
        self.check("swift_f0", "model.onnx", pitch_feeds)

    def test_notes(self):
        self.check("basic_pitch", "nmp.onnx", note_feeds)


if __name__ == "__main__":
    unittest.main()
