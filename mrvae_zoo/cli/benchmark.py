"""The command `mrvae benchmark`."""

from typing import TYPE_CHECKING, Annotated

import typer

from mrvae_zoo.cli.common import Device, DeviceOption, Json, Name, print_json, print_table, say

if TYPE_CHECKING:
    from mrvae_zoo.inference.throughput import Throughput

BATCH_SIZES = (1, 256)


def benchmark(
    name: Name,
    batch_size: Annotated[
        list[int] | None,
        typer.Option(
            "--batch-size",
            metavar="N",
            help="How many images a call takes. May be repeated. Default: 1 and 256.",
            min=1,
        ),
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option("--beta", metavar="B", help="The β of every call. Default: 1, or what the model has next to it."),
    ] = None,
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(
            "--size", metavar="HEIGHT WIDTH", help="The size of the images, of a model that takes any. Default: 32 32."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", help="How many times to measure.", min=1)] = 5,
    device: Device = DeviceOption.auto,
    json: Json = False,
) -> None:
    """Measure how many images per second a model encodes, decodes, and does both with, on this machine.

    All calls have one β: once folded into the weights, and once with gates. The model draws the images itself, so
    no data set is needed. A figure is the median over the rounds, in which all forms take turns.
    """
    from dataclasses import asdict

    from mrvae_zoo.common.devices import device_name
    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.inference.throughput import image_shape, measure_throughput
    from mrvae_zoo.models.vae import FixedRateVAE

    if size is not None and min(size) < 1:
        raise typer.BadParameter(f"--size {size[0]} {size[1]}: should be at least 1 1.")
    model = load_pretrained(name, device=device.value)
    if beta is None:
        low, high = model.beta_range
        beta = model.beta if isinstance(model, FixedRateVAE) else min(max(1.0, low), high)
    shape, on = image_shape(model, size), device_name(model.device)
    results = [
        measure_throughput(model, beta, batch_size=one, size=size, rounds=rounds)
        for one in dict.fromkeys(batch_size or BATCH_SIZES)
    ]
    if json:
        head = {"name": name, "device": on, "beta": beta, "image": shape, "rounds": rounds}
        print_json({**head, "results": [asdict(one) for one in results]})
        return
    say(f"images per second on {on}, at β = {beta:g}, {'×'.join(map(str, shape))}; medians of {rounds}")
    peaks = any(one.peak_bytes is not None for one in results)
    header = ("batch", "", "encode", "decode", "whole", *(["peak memory"] if peaks else []))
    print_table(header, [row for one in results for row in _rows(one, peaks=peaks)], left=2)


def _rows(one: "Throughput", *, peaks: bool) -> list[tuple[str, ...]]:
    """Return the rows of a batch size: folded, and with gates."""
    forms = [("folded", one.folded), *([("gated", one.gated)] if one.gated is not None else [])]
    peak = "" if one.peak_bytes is None else f"{one.peak_bytes / 1e6:,.0f} MB"
    return [
        (
            str(one.batch_size),
            form,
            *(f"{figure:,.0f}" for figure in (rates.encode, rates.decode, rates.whole)),
            *([peak] if peaks else []),
        )
        for form, rates in forms
    ]
