"""The command `mrvae export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import Force, Json, Name, print_json, say


class Format(StrEnum):
    """The values of --format."""

    onnx = "onnx"
    pt2 = "pt2"


class Part(StrEnum):
    """The values of --part."""

    model = "model"
    encoder = "encoder"
    decoder = "decoder"


def export(
    name: Name,
    format: Annotated[  # noqa: A002 (the word of the command line)
        Format, typer.Option("--format", help="The format: onnx for ONNX runtimes, or pt2 for torch.export.load.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")],
    part: Annotated[Part, typer.Option("--part", help="The whole model, or one half of it.")] = Part.model,
    beta: Annotated[
        float | None,
        typer.Option("--beta", metavar="B", help="Fold the gates at this β. Default: β is an input of the file."),
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a model to one file that runs without mrvae_zoo.

    Inputs are x (B, C, H, W), beta (B,) and noise (B, Z), zeros for the posterior mean; outputs are reconstruction,
    mean and log_var. The encoder has no noise and no reconstruction. The decoder takes z (B, Z) instead of x.

    The file clamps β to the range of the model and x to its data range; it cannot refuse them.
    """
    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.inference.export import export as export_model

    check_output(output, force=force)
    model = load_pretrained(name)
    export_model(model if beta is None else model.at(beta), output, format=format.value, part=part.value)
    size = output.stat().st_size
    say(f"wrote {output}: {size / 1e6:.1f} MB")
    if json:
        print_json({"output": str(output), "bytes": size})
