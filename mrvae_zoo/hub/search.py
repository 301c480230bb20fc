"""The models of this library on the Hugging Face Hub."""

from dataclasses import dataclass

from mrvae_zoo.common.table import matching
from mrvae_zoo.hub.client import LIBRARY, call, make_api


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A model on the Hub.

    Attributes:
        repo_id: "org/name".
        updated: the day of its last commit, "2026-01-31"; None where the Hub does not say.
        private: whether others can see it.
    """

    repo_id: str
    updated: str | None
    private: bool


def list_hub_models(pattern: str = "*", *, author: str | None = None) -> list[HubModel]:
    """The models that carry the tag of this library and that the saved token may see, by name.

    Args:
        pattern: of "org/name", such as "*mnist*".
        author: a user or an organization; None is anyone.

    Raises:
        HubError: the Hub cannot be reached.
    """
    api = make_api()
    from huggingface_hub import get_session

    # The client pages through lists with patience of its own, a minute and a half where there is no network.
    call(lambda: get_session().head(api.endpoint), api=api, repo_id="the list of models")
    found = call(
        lambda: list(api.list_models(filter=LIBRARY, author=author, expand=["lastModified", "private"])),
        api=api,
        repo_id="the list of models",
    )
    models = {
        info.id: HubModel(
            repo_id=info.id,
            updated=None if info.last_modified is None else info.last_modified.date().isoformat(),
            private=bool(info.private),
        )
        for info in found
    }
    return [models[name] for name in matching(list(models), pattern)]
