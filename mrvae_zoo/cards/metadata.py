"""The YAML block on top of a card, as the Hugging Face Hub reads it."""

from typing import TYPE_CHECKING, Any

from mrvae_zoo.cards.subject import Subject

if TYPE_CHECKING:
    from huggingface_hub import EvalResult


# The Hub has no task for autoencoders. Most uses of these models begin with `encode`, which this one stands for; to
# draw from the prior (unconditional-image-generation) is what they do worst.
TASK = "image-feature-extraction"
DIGITS = 4  # after the point, of a figure of the model index


def metadata(subject: Subject) -> str:
    """The YAML between two lines of dashes: what can be searched for, the licence, and rate, distortion and loss."""
    from huggingface_hub import ModelCardData

    card = ModelCardData(
        library_name="mrvae_zoo",
        pipeline_tag=TASK,
        tags=_tags(subject),
        datasets=None if subject.data.hub_id is None else [subject.data.hub_id],
        **_licence(subject),
        model_name=subject.name,
        eval_results=_results(subject),
    )
    return f"---\n{card.to_yaml(line_break=chr(10))}\n---\n"


def _tags(subject: Subject) -> list[str]:
    tags = ["vae", "multi-rate-vae", "beta-vae", "rate-distortion", "pytorch"]
    known = [subject.data_name] if subject.data.known else []
    return [*tags, *known, subject.config.architecture]


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
            metric_type=metric,
            metric_name=f"{metric} at β = {point.beta:g} (nats an image)",
            metric_value=round(getattr(point, metric), DIGITS),
            metric_args={"beta": point.beta},
            verified=False,
        )
        for point in subject.curve.points
        for metric in ("rate", "distortion", "loss")
    ]
