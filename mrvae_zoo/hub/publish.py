"""Publishing the registry of a checkout: every trained model goes to the Hub, and registry/pins.toml says where."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mrvae_zoo.checkpoints.folder import read_config
from mrvae_zoo.checkpoints.pins import Pin, check_tomli_w, pins_path, read_pins, write_pins
from mrvae_zoo.checkpoints.registry import has_weights, is_checkout, own_models
from mrvae_zoo.common.layout import REGISTRY
from mrvae_zoo.hub.client import call, make_api
from mrvae_zoo.hub.push import check_may_push, push_to_hub
from mrvae_zoo.hub.upload import Pushed

if TYPE_CHECKING:
    from huggingface_hub import HfApi


COLLECTION = "Multi-Rate VAEs"
ABOUT = "One VAE, trained once, called with any β."


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The result of publishing a registry.

    Attributes:
        pins: All pins, as written.
        collection: The address of the collection of the pushed models.
    """

    pins: dict[str, Pin]
    collection: str


def publish(
    author: str | None = None,
    *,
    spaces: bool = False,
    data_root: str | Path | None = None,
    device: str = "cpu",
    token: str | None = None,
    report: Callable[[str, Pushed], None] = lambda _name, _pushed: None,
    progress: Callable[[float], None] = lambda _: None,
) -> Published:
    """Push every trained model of this checkout to AUTHOR/NAME, pin it, and put it into a collection of the Hub.

    registry/pins.toml is written after each model, so after an interruption it names exactly the models that were
    pushed, read back and compared. Publishing again makes no new commit for a model that is there already, and no
    second collection. The pins of models without weights here stay.

    Args:
        author: A user or an organization of the Hub; None is the user of the token.
        spaces: Whether to push the dial of each model too, as the Space AUTHOR/NAME-dial.
        data_root: The folder of data sets to measure three points of each curve on again.
        device: The device to measure and to draw the pages on.
        token: The token to push with; None is the saved one.
        report: A function that is called with the name and the result after each model.
        progress: A function that is called with the share of a measurement that is done, in [0, 1].

    Raises:
        ValueError: This is no checkout, it has no trained model, or one of them is not fit to be pushed.
        HubError: The Hub refuses or cannot be reached; see `push_to_hub`.
        MissingExtraError: tomli-w is not installed.
    """
    if not is_checkout():
        raise ValueError("only a checkout is published, and this is an installed package; clone the repository first")
    models = {name: folder for name, folder in own_models().items() if has_weights(folder)}
    if not models:
        raise ValueError(f"no model of the registry has weights here; train one, and put it into {REGISTRY}/NAME")
    check_tomli_w()
    pins = read_pins()
    api = make_api(token)
    check_may_push(api, "publish")
    if author is None:
        author = call(api.whoami, api=api, repo_id="your account")["name"]
    pushed_to = []
    for name, folder in models.items():
        pushed = push_to_hub(
            folder,
            f"{author}/{name}",
            space=True if spaces else None,
            data_root=data_root,
            device=device,
            token=token,
            progress=progress,
        )
        assert pushed.commit is not None
        sha256 = read_config(folder).weights.sha256
        pins[name] = Pin(repo=pushed.repo_id, revision=pushed.commit, sha256=sha256)
        write_pins(pins, pins_path())
        pushed_to.append(pushed.repo_id)
        report(name, pushed)
    return Published(pins=pins, collection=_collect(api, author, pushed_to))


def _collect(api: "HfApi", author: str, repo_ids: Sequence[str]) -> str:
    """Put models into the collection of an author, which is created if it does not exist; its address."""
    what = f"the collection {COLLECTION!r} of {author}"
    make = partial(api.create_collection, COLLECTION, namespace=author, description=ABOUT, exists_ok=True)
    collection = call(make, api=api, repo_id=what, action="write")
    for repo_id in repo_ids:
        add = partial(api.add_collection_item, collection.slug, repo_id, "model", exists_ok=True)
        call(add, api=api, repo_id=what, action="write")
    return collection.url
