"""The YAML block on top of a card, as the Hugging Face Hub reads it."""

from typing import TYPE_CHECKING, Any

from mrvae_zoo.cards.subject import Subject
from mrvae_zoo.cards.text import ARXIV
from mrvae_zoo.checkpoints.sources import HUB, parse_hub_source
from mrvae_zoo.common.layout import CURVE_PLOT

if TYPE_CHECKING:
    from huggingface_hub import EvalResult


LIBRARY = "mrvae-zoo"  # as on PyPI
SEARCHED = "mrvae_zoo"  # the tag that `mrvae list --hub` looks for
# The Hub has no task for autoencoders. Most uses of these models begin with `encode`, which this one stands for; to
# draw from the prior (unconditional-image-generation) is what they do worst.
TASK = "image-feature-extraction"
DIGITS = 4  # after the point, of a figure of the model index


def metadata(subject: Subject) -> str:
    """The YAML between two lines of dashes: what can be searched for, the licence, and the loss at a few β."""
    from huggingface_hub import ModelCardData

    card = ModelCardData(
        base_model=_base_model(subject),
        library_name=LIBRARY,
        pipeline_tag=TASK,
        tags=_tags(subject),
        datasets=None if subject.data.hub_id is None else [subject.data.hub_id],
        thumbnail=CURVE_PLOT,
        **_licence(subject),
        model_name=subject.title,
        eval_results=_results(subject),
    )
    return f"---\n{card.to_yaml(line_break=chr(10))}\n---\n"


def _tags(subject: Subject) -> list[str]:
    tags = [SEARCHED, "vae", "multi-rate-vae", "beta-vae", "rate-distortion", "pytorch", f"arxiv:{ARXIV}"]
    known = [subject.data_name] if subject.data.known else []
    return [*tags, *known, subject.config.architecture]


def _base_model(subject: Subject) -> str | None:
    """The repository of the Hub whose weights the training began with."""
    trained = None if subject.recipe is None else subject.recipe.trained
    init = None if trained is None else trained.init
    return parse_hub_source(init).repo_id if init is not None and init.startswith(HUB) else None


def _licence(subject: Subject) -> dict[str, Any]:
    if not subject.data.known:
        return {}
    if subject.data.non_commercial:
        assert subject.data.url is not None
        name = f"{subject.data_name}-non-commercial"
        return {"license": "other", "license_name": name, "license_link": subject.data.url}
    return {"license": "apache-2.0"}


def _results(subject: Subject) -> "list[EvalResult]":
    from huggingface_hub import EvalResult

    data = dict(subject.curve.data)
    name, split = str(data.pop("name")), data.pop("split", None)
    return [
        EvalResult(
            task_type=TASK,
            task_name="Rate-distortion curve",
            dataset_type=subject.measured_on.hub_id or name,
            dataset_name=subject.measured_on.title.strip("`"),
            dataset_split=split,
            dataset_args=data or None,
            metric_type="loss",
            metric_name=f"L = D + β·R at β = {point.beta:g} (nats per image)",
            metric_value=round(point.loss, DIGITS),
            metric_args={"beta": point.beta},
        )
        for point in subject.key_points
    ]
