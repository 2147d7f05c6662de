"""One operator test of ONNX: compile it, run it, compare. `work` is called by worker processes."""
from pathlib import Path

import ml_dtypes  # noqa: F401  (registers its dtypes with numpy)
import numpy as np
import onnx
import repose_cli
from onnx import helper

# Two units in the last place: what ONNX's own runner allows, and needs, for bfloat16.
LEAST_RTOL = {"bfloat16": 2.0**-6}


def load_arrays(folder, kind, values):
    """kind_0.npy … with the dtypes of the graph's `values` (those of ml_dtypes are saved as bits).
    Fewer files than values are fine: initializers are inputs too in old models."""
    arrays = []
    for i, value in enumerate(values):
        path = folder / f"{kind}_{i}.npy"
        if not path.exists():
            break
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        array = np.load(path)
        arrays.append(array if array.dtype == dtype else array.view(dtype))
    return arrays


def difference(expected, actual, rtol, atol):
    """Why two lists of arrays are not the same within the tolerance; None if they are."""
    if len(expected) != len(actual):
        return f"{len(actual)} outputs, expected {len(expected)}"
    for i, (want, have) in enumerate(zip(expected, actual)):
        if want.dtype != have.dtype:
            return f"output {i} has dtype {have.dtype}, expected {want.dtype}"
        if want.shape != have.shape:
            return f"output {i} has shape {have.shape}, expected {want.shape}"
        if want.dtype.kind in "biu" and want.dtype.isbuiltin == 1:
            if not np.array_equal(want, have):
                return f"output {i}: {np.sum(want != have)} of {want.size} elements differ"
            continue
        least = LEAST_RTOL.get(want.dtype.name, 0.0)
        if want.dtype.isbuiltin != 1:
            want, have = want.astype(np.float32), have.astype(np.float32)
        near = np.isclose(have, want, rtol=max(rtol, least), atol=atol, equal_nan=True)
        if not near.all():
            at = tuple(int(k[0]) for k in np.nonzero(~near)) if want.ndim else ()
            wrong = int((~near).sum())
            return (
                f"output {i}: {wrong} of {want.size} elements differ; "
                f"at {list(at)}: {have[at]}, expected {want[at]}"
            )
    return None


def random_difference(expected, actual):
    """The same for random numbers: dtypes, shapes, and ranges."""
    if len(expected) != len(actual):
        return f"{len(actual)} outputs, expected {len(expected)}"
    for i, (want, have) in enumerate(zip(expected, actual)):
        if want.dtype != have.dtype or want.shape != have.shape:
            return f"output {i}: {have.dtype}{have.shape}, expected {want.dtype}{want.shape}"
        if have.size and (have.min() < want.min() or have.max() > want.max()):
            return f"output {i}: {have.min()} to {have.max()}, expected {want.min()} to {want.max()}"
    return None


def dropout_difference(x, expected, actual):
    """The same for a dropout in training: what is kept is chosen at random, how much and what
    becomes of it is not."""
    if [a.shape for a in actual] != [a.shape for a in expected]:
        return f"{[a.shape for a in actual]}, expected {[a.shape for a in expected]}"
    if [a.dtype for a in actual] != [a.dtype for a in expected]:
        return f"{[a.dtype for a in actual]}, expected {[a.dtype for a in expected]}"
    kept_there = expected[0] != 0
    kept = actual[1] if len(actual) > 1 else actual[0] != 0
    scale = np.divide(expected[0], x, where=kept_there, out=np.zeros_like(x)).max()
    if not np.allclose(actual[0], np.where(kept, x * scale, 0), rtol=1e-5):
        return "an element is neither 0 nor scaled"
    if abs(kept.mean() - kept_there.mean()) > 0.25:
        return f"{kept.mean()} of the elements are kept, expected about {kept_there.mean()}"
    return None


def run_peer(path, inputs, count):
    """ONNX Runtime in Repose's place, to check the suite itself."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs)))[:count]


def work(job):
    """{"status": passed | failed | unsupported, "why": text}"""
    folder, library = Path(job["folder"]), Path(job["library"])
    model = onnx.load(folder / "model.onnx")
    initializers = {t.name for t in model.graph.initializer}
    values = [value for value in model.graph.input if value.name not in initializers]
    inputs = load_arrays(folder, "input", values)
    expected = load_arrays(folder, "output", model.graph.output)
    try:
        if job["repose"] is None:
            actual = run_peer(folder / "model.onnx", inputs, len(expected))
        else:
            done = repose_cli.compile_next(job["repose"], folder / "model.onnx", library)
            if not done.ok:
                status = "unsupported" if done.code == repose_cli.UNSUPPORTED else "failed"
                why = done.text if status == "unsupported" else f"exit {done.code}: {done.text}"
                return {"status": status, "why": why}
            actual = repose_cli.run_model(library, inputs)
    except Exception as error:  # whatever the model or a binding raises is this case's failure
        return {"status": "failed", "why": f"{type(error).__name__}: {error}"}
    finally:
        library.unlink(missing_ok=True)
    if job["dropout"] and inputs[-1].dtype == bool and inputs[-1].all():
        why = dropout_difference(inputs[0], expected, actual)
    elif job["random"]:
        why = random_difference(expected, actual)
    else:
        why = difference(expected, actual, job["rtol"], job["atol"])
    return {"status": "failed" if why else "passed", "why": why}
