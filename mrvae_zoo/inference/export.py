"""A model as one file that does not need mrvae_zoo: ONNX, or torch's own pt2.

    model    x (B, C, H, W), beta (B,), noise (B, Z) ─► reconstruction (B, C, H, W), mean (B, Z), log_var (B, Z)
    encoder  x (B, C, H, W), beta (B,) ─► mean (B, Z), log_var (B, Z)
    decoder  z (B, Z), beta (B,) ─► reconstruction (B, C, H, W)

Everything is float32, and B is any number from 1. A model whose gates were folded (`model.at(beta)`) has no input beta.
z = mean + exp(log_var / 2) ⊙ noise: standard normal noise draws from the posterior, and zeros take its mean. Neither
format has optional inputs, so pass zeros for no noise.

A graph cannot refuse its input, so β is clamped to the model's range and x to its data range. The file contains the
config of the model, as the metadata `mrvae_zoo.config` (ONNX) or the extra file `config.json` (pt2).

A spatial model takes any H and W that are multiples of its stride s, most often 8, and at least 2s. Its latents are
(B, Z, H/s, W/s).

Letters: B batch, C, H, W image, Z latents.
"""

import copy
import importlib.util
import io
import json
import math
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.layout import CONFIG
from mrvae_zoo.common.schema import to_plain
from mrvae_zoo.errors import MissingExtraError
from mrvae_zoo.models.vae import BaseVAE, MultiRateVAE, unwrap

Format = Literal["onnx", "pt2"]
Part = Literal["model", "encoder", "decoder"]
CHECK_OF_BETA = "beta must have one value for each image"
EXAMPLE_BATCH = 2  # a traced batch of 1 would not stand for any batch


class Whole(nn.Module):
    """The whole model: x, beta, noise -> reconstruction, mean, log_var."""

    def __init__(self, model: BaseVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, beta: Tensor | None, noise: Tensor) -> dict[str, Tensor]:
        """Compute the outputs; see the module."""
        x, beta = clamped(self.model, x), one_per_image(beta, x)
        posterior = self.model.encode(x, beta)
        reconstruction = self.model.decode(posterior.displaced(noise), beta)
        return {"reconstruction": reconstruction, "mean": posterior.mean, "log_var": posterior.log_var}


class FoldedWhole(Whole):
    """The whole model at one β: x, noise -> reconstruction, mean, log_var."""

    def forward(self, x: Tensor, noise: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        """Compute the outputs; see the module."""
        return super().forward(x, None, noise)


class Encoder(nn.Module):
    """The encoder: x, beta -> mean, log_var."""

    def __init__(self, model: BaseVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, beta: Tensor | None = None) -> dict[str, Tensor]:
        """Compute the outputs; see the module."""
        x = clamped(self.model, x)
        posterior = self.model.encode(x, one_per_image(beta, x))
        return {"mean": posterior.mean, "log_var": posterior.log_var}


class Decoder(nn.Module):
    """The decoder: z, beta -> reconstruction."""

    def __init__(self, model: BaseVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor, beta: Tensor | None = None) -> dict[str, Tensor]:
        """Compute the output; see the module."""
        return {"reconstruction": self.model.decode(z, one_per_image(beta, z))}


def clamped(model: BaseVAE, x: Tensor) -> Tensor:
    """Clamp x to the data range."""
    return x if model.config.data_range is None else x.clamp(*model.config.data_range)


def one_per_image(beta: Tensor | None, x: Tensor) -> Tensor | None:
    """Return β unchanged, added to a zero per image: the first operation fails if their numbers differ."""
    return None if beta is None else beta + 0 * x.flatten(1)[:, 0]


PARTS: dict[Part, type[Whole] | type[Encoder] | type[Decoder]] = {
    "model": Whole,
    "encoder": Encoder,
    "decoder": Decoder,
}
INPUTS: dict[Part, tuple[str, ...]] = {
    "model": ("x", "beta", "noise"),
    "encoder": ("x", "beta"),
    "decoder": ("z", "beta"),
}
OUTPUTS: dict[Part, tuple[str, ...]] = {
    "model": ("reconstruction", "mean", "log_var"),
    "encoder": ("mean", "log_var"),
    "decoder": ("reconstruction",),
}


def export(
    model: BaseVAE,
    path: str | Path,
    *,
    format: Format,  # noqa: A002 (the word of the command line)
    part: Part = "model",
) -> None:
    """Write a part of `model` to one file that runs without mrvae_zoo.

    With "model", inputs x, beta and noise give the reconstruction, mean and log_var; the module lists the other parts.

    Args:
        model: The model, of any dtype and on any device; it is not changed.
        path: The path of the file, which is replaced if it exists.
        format: The format: "onnx", whose inputs are passed by name, or "pt2", as `torch.export.load` reads it. A pt2
            module takes its inputs by position, in the order that the module docstring lists.
        part: The part to export: "model", "encoder" or "decoder".

    Raises:
        MissingExtraError: The format is "onnx", and the extra `export` is not installed.
        OSError: The file cannot be written.
    """
    if format == "onnx":
        for package in ("onnx", "onnxscript"):
            if importlib.util.find_spec(package) is None:
                raise MissingExtraError(package, "export")
    model = unwrap(model)
    config = json.dumps(to_plain(model.config))
    program = trace(model, part)
    write_atomically(Path(path), onnx_bytes(program, part, config) if format == "onnx" else pt2_bytes(program, config))


def trace(model: BaseVAE, part: Part) -> torch.export.ExportedProgram:
    """Return the graph of a part, for any batch size."""
    model = copy.deepcopy(model).to("cpu", torch.float32).eval()
    channels, *size = model.input_shape
    height, width = (model.stride * places if side is None else side for side, places in zip(size, (3, 5), strict=True))
    x = torch.full((EXAMPLE_BATCH, channels, height, width), 0.5, dtype=torch.float32, device="cpu")
    beta = torch.full((EXAMPLE_BATCH,), math.sqrt(math.prod(model.beta_range)), dtype=torch.float32, device="cpu")
    latents = torch.zeros(EXAMPLE_BATCH, *model.latent_shape((height, width)), dtype=torch.float32, device="cpu")
    examples = {"x": x, "beta": beta, "z": latents, "noise": torch.zeros_like(latents)}
    names = [name for name in INPUTS[part] if name != "beta" or isinstance(model, MultiRateVAE)]
    batch = torch.export.Dim("batch")
    axes: dict[str, dict[int, Any]] = {name: {0: batch} for name in names}
    if model.config.spatial:
        rows, columns = torch.export.Dim("rows", min=2), torch.export.Dim("columns", min=2)
        places, pixels = {2: rows, 3: columns}, {2: model.stride * rows, 3: model.stride * columns}
        for name in set(names) - {"beta"}:
            axes[name] |= pixels if name == "x" else places
    whole_at = part == "model" and "beta" not in names
    program = torch.export.export(
        (FoldedWhole if whole_at else PARTS[part])(model),
        tuple(examples[name] for name in names),
        dynamic_shapes=axes,
    )
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)  # both formats would store it: paths of this machine
    return program


def onnx_bytes(program: torch.export.ExportedProgram, part: Part, config: str) -> bytes:
    """Return the program as the content of an ONNX file that holds its weights."""
    first, *others = (spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT")
    exported = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        output_names=OUTPUTS[part],
        # Names the one axis that all inputs share; a second mention of it is a warning.
        dynamic_shapes={first: {0: "batch"}, **{name: {} for name in others}},
    )
    assert exported is not None
    for node in exported.model.graph:
        for value in node.outputs:
            if value.name in OUTPUTS[part] and not value.is_graph_output():
                value.name += "_inside"  # the exporter names values after operations, torch.mean for one
    for value in exported.model.graph.inputs:
        for use in value.uses() if value.name == "beta" else ():
            use.node.name = CHECK_OF_BETA  # a runtime shows this name in its error message
    exported.model.metadata_props["mrvae_zoo.config"] = config
    content: bytes = exported.model_proto.SerializeToString()
    return content


def pt2_bytes(program: torch.export.ExportedProgram, config: str) -> bytes:
    """Return the program as the content of a file for `torch.export.load`."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={CONFIG: config})
    return buffer.getvalue()
