"""What `mrvae list` knows of the models of the registry. Needs no torch."""

from dataclasses import dataclass
from typing import Any, Literal

from mrvae_zoo.checkpoints.index import IndexEntry, loss_at_one, rates_of, read_index
from mrvae_zoo.checkpoints.pins import Pin, read_pins
from mrvae_zoo.checkpoints.registry import data_name, has_weights, list_models, model_folder
from mrvae_zoo.common.layout import CURVE, WEIGHTS
from mrvae_zoo.common.schema import to_plain
from mrvae_zoo.errors import UnknownNameError, nearest
from mrvae_zoo.models.curve import RDCurve

Place = Literal["package", "cache", "Hub"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A model of the registry. What its files do not tell is None.

    Attributes:
        name: The name of the model.
        data: The name of the data set it was trained on.
        weights: The place of its weights: this package (or a plug-in), the cache of the Hub, or the Hub alone; None if
            they are nowhere.
        hub: The source on the Hub that it is pinned to.
        bytes: The size of its weights in bytes.
        rates: The lowest and the highest rate of its curve, in nats per image.
        loss_at_beta_1: The loss L at β = 1 in nats per image.
        entry: The entry of the index, which only trained models of this package have.
    """

    name: str
    data: str | None
    weights: Place | None
    hub: str | None
    bytes: int | None
    rates: tuple[float, float] | None
    loss_at_beta_1: float | None
    entry: IndexEntry | None

    @property
    def speed(self) -> float | None:
        """The images per second with the largest measured batch, folded, on the fastest measured device."""
        speeds = () if self.entry is None else self.entry.speeds
        found = max(speeds, key=lambda speed: (speed.batch_size, speed.folded), default=None)
        return None if found is None else found.folded

    def to_plain(self) -> dict[str, Any]:
        """Return everything as plain data for JSON, with the keys of the index beside those of this class."""
        plain: dict[str, Any] = to_plain(self)
        return plain | (plain.pop("entry") or {})


def read_listed(pattern: str = "*") -> list[Listed]:
    """Return the models of the registry whose names match a pattern, by name. Those of the index are not opened."""
    index, pins = read_index(), read_pins()
    return [_read(name, index.get(name), pins.get(name)) for name in list_models(pattern)]


def choose(
    models: list[Listed], *, pretrained: bool, data: str | None = None, max_size: float | None = None
) -> list[Listed]:
    """Return the models that have their weights on this machine, that data set, and at most so many MB of weights.

    Raises:
        UnknownNameError: No model of the registry is for that data set.
    """
    if data is not None:
        known = {model.data for model in read_listed() if model.data is not None}
        if data not in known:
            raise UnknownNameError(f"no model of the registry is for the data set {data!r}; {nearest(data, known)}")
    return [
        model
        for model in models
        if (not pretrained or model.weights in ("package", "cache"))
        and data in (None, model.data)
        and (max_size is None or (model.bytes is not None and model.bytes <= max_size * 1e6))
    ]


def _read(name: str, entry: IndexEntry | None, pin: Pin | None) -> Listed:
    folder = model_folder(name)
    here = has_weights(folder)
    if entry is not None:
        figures: dict[str, Any] = {key: getattr(entry, key) for key in ("data", "bytes", "rates", "loss_at_beta_1")}
    else:
        figures = _read_folder(name)
    return Listed(
        name=name,
        weights=_place(pin, here=here),
        hub=None if pin is None else pin.source,
        entry=entry,
        **figures,
    )


def _read_folder(name: str) -> dict[str, Any]:
    """Return what the folder of a model tells that is not in the index: untrained, new, or of a plug-in."""
    folder = model_folder(name)
    try:
        curve = RDCurve.read(folder / CURVE)
    except (OSError, ValueError):
        curve = None
    return {
        "data": data_name(folder, curve),
        "bytes": (folder / WEIGHTS).stat().st_size if has_weights(folder) else None,
        "rates": None if curve is None else rates_of(curve),
        "loss_at_beta_1": None if curve is None else loss_at_one(curve),
    }


def _place(pin: Pin | None, *, here: bool) -> Place | None:
    if here or pin is None:
        return "package" if here else None
    from mrvae_zoo.hub.download import has_cached_weights

    return "cache" if has_cached_weights(pin.repo, pin.revision) else "Hub"
