"""The networks of a page: encoder and decoder as ONNX files that are small, and the same however often they are made.

    encoder  x (B, C, H, W), beta (B,) ─► mean (B, Z), log_var (B, Z)
    decoder  z (B, Z), beta (B,) ─► output (B, C, H, W): the logits, or the mean before it is clamped

A page computes the distortion itself, so its decoder returns the parameters of p(x|z) and not a picture.

Letters: B batch, C, H, W image, Z latents.
"""

import importlib.util
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mrvae_zoo.common.schema import to_plain
from mrvae_zoo.errors import MissingExtraError
from mrvae_zoo.inference.export import onnx_bytes, trace
from mrvae_zoo.models.vae import BaseVAE

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto

SMALLEST = 256  # values of a tensor that is worth a node which widens it


def encoder_bytes(model: BaseVAE) -> bytes:
    """Return the content of encoder.onnx.

    Raises:
        MissingExtraError: The extra `export` is not installed.
    """
    check_onnx()
    return _compact(onnx_bytes(trace(model, "encoder"), "encoder", _config(model)))


def decoder_bytes(model: BaseVAE) -> bytes:
    """Return the content of decoder.onnx; errors are those of `encoder_bytes`."""
    check_onnx()
    # A Gaussian without a data range, whose mean is what the network returns.
    config = replace(model.config, likelihood="gaussian", sigma=1.0, data_range=None)
    plain = type(model)(config, model.encoder, model.decoder)
    return _compact(onnx_bytes(trace(plain, "decoder"), "decoder", _config(model)), {"reconstruction": "output"})


def check_onnx() -> None:
    """Raise a MissingExtraError if what writes ONNX files is not installed: to know before any work is done."""
    for package in ("onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "export")


def _config(model: BaseVAE) -> str:
    return json.dumps(to_plain(model.config))


def _compact(content: bytes, renamed: dict[str, str] | None = None) -> bytes:
    """Return an ONNX file with outputs renamed, every weight once, in half precision where that changes no value."""
    import onnx

    file = onnx.load_model_from_string(content)
    for old, new in (renamed or {}).items():
        _rename(file.graph, old, new)
    _without_remarks(file)
    _each_weight_once(file.graph)
    _narrow(file.graph)
    onnx.checker.check_model(file)
    return file.SerializeToString(deterministic=True)


def _rename(graph: "GraphProto", old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    for value in graph.output:
        value.name = new if value.name == old else value.name


def _without_remarks(file: "ModelProto") -> None:
    """Remove what only the exporter needs: descriptions, the shapes of inner values, where nodes came from."""
    file.graph.ClearField("value_info")
    for part in (file.graph, *file.graph.node, *file.graph.initializer, *file.graph.input, *file.graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def _each_weight_once(graph: "GraphProto") -> None:
    """Remove initialisers that hold what an earlier one holds."""
    first: dict[tuple[object, ...], str] = {}
    same: dict[str, str] = {}
    kept = []
    for tensor in graph.initializer:
        key = (tensor.data_type, tuple(tensor.dims), tensor.raw_data or tensor.SerializeToString())
        if key in first:
            same[tensor.name] = first[key]
        else:
            first[key] = tensor.name
            kept.append(tensor)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]


def _narrow(graph: "GraphProto") -> None:
    """Store float32 weights whose values half precision holds exactly in that, and widen them in the graph."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for index, tensor in enumerate(graph.initializer):
        half = _as_half(tensor) if tensor.data_type == TensorProto.FLOAT else None
        if half is None:
            continue
        narrow = numpy_helper.from_array(half, f"{tensor.name}_half")
        casts.append(helper.make_node("Cast", [narrow.name], [tensor.name], f"widen_{index}", to=TensorProto.FLOAT))
        tensor.CopyFrom(narrow)
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])


def _as_half(tensor: "TensorProto") -> "np.ndarray | None":
    """Return the values in half precision if they are many and all of them stay the same, or None."""
    from onnx import numpy_helper

    values = numpy_helper.to_array(tensor)
    if values.size < SMALLEST:
        return None
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else None
