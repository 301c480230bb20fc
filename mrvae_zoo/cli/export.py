"""mrvae export."""

from enum import StrEnum
from typing import Annotated

import typer

from mrvae_zoo.cli.common import Force, Name, Output, say


class Format(StrEnum):
    """What --format takes."""

    onnx = "onnx"
    pt2 = "pt2"


class Part(StrEnum):
    """What --part takes."""

    model = "model"
    encoder = "encoder"
    decoder = "decoder"


def export(
    name: Name,
    format: Annotated[Format, typer.Option("--format", help="ONNX, or what torch.export.load reads.")],  # noqa: A002
    output: Output,
    part: Annotated[Part, typer.Option("--part", help="The whole model, or one half of it.")] = Part.model,
    beta: Annotated[
        float | None, typer.Option("--beta", help="Fold the gates at this β; without, beta is an input.")
    ] = None,
    force: Force = False,
) -> None:
    """Write a model to one file that needs no mrvae_zoo.

    Inputs are x (B, C, H, W), beta (B,) and noise (B, Z), zeros for the posterior mean; outputs reconstruction, mean
    and log_var. The encoder has no noise and no reconstruction; the decoder takes z (B, Z) for x.
    """
    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.inference.export import export as export_model

    check_output(output, force=force)
    model = load_pretrained(name)
    export_model(model if beta is None else model.at(beta), output, format=format.value, part=part.value)
    say(f"wrote {output}: {output.stat().st_size / 1e6:.1f} MB")
