"""Publishing the registry of a checkout: every trained model goes to the Hub, and registry/pins.toml says where."""

from collections.abc import Callable
from pathlib import Path

from mrvae_zoo.checkpoints.folder import read_config
from mrvae_zoo.checkpoints.pins import Pin, check_tomli_w, pins_path, read_pins, write_pins
from mrvae_zoo.checkpoints.registry import has_weights, is_checkout, own_models
from mrvae_zoo.common.layout import REGISTRY
from mrvae_zoo.hub.client import call, make_api
from mrvae_zoo.hub.push import Pushed, check_may_push, push_to_hub


def publish(
    author: str | None = None,
    *,
    data_root: str | Path | None = None,
    device: str = "cpu",
    token: str | None = None,
    report: Callable[[str, Pushed], None] = lambda _name, _pushed: None,
    progress: Callable[[float], None] = lambda _: None,
) -> dict[str, Pin]:
    """Push every trained model of this checkout to AUTHOR/NAME, and pin it.

    registry/pins.toml is written after each model: what it names was pushed, read back and compared, so that after an
    interruption it is true as far as it goes, and publishing again makes no new commit for what is there already. The
    pins of models that have no weights here stay.

    Args:
        author: a user or an organization of the Hub; None is the user of the token.
        data_root: measure the curves again, see `push_to_hub`, as is the next.
        device: where.
        token: None is the saved one.
        report: called after each model.
        progress: of the measurements, see `push_to_hub`.

    Returns:
        All pins, as written.

    Raises:
        ValueError: this is no checkout, it has no trained model, or one of them is not fit to be pushed.
        HubError: see `push_to_hub`.
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
    for name, folder in models.items():
        pushed = push_to_hub(
            folder, f"{author}/{name}", data_root=data_root, device=device, token=token, progress=progress
        )
        sha256 = read_config(folder).weights.sha256
        pins[name] = Pin(repo=pushed.repo_id, revision=pushed.commit, sha256=sha256)
        write_pins(pins, pins_path())
        report(name, pushed)
    return pins
