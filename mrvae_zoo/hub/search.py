"""The models of this library on the Hugging Face Hub."""

from dataclasses import dataclass

from mrvae_zoo.common.table import matching
from mrvae_zoo.hub.client import LIBRARY, call, make_api


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A model on the Hub.

    Attributes:
        repo_id: The repository, "org/name".
        updated: The day of its last commit, for example "2026-01-31"; None if the Hub does not say.
        private: Whether the repository is private.
    """

    repo_id: str
    updated: str | None
    private: bool


def list_hub_models(pattern: str = "*", *, author: str | None = None) -> list[HubModel]:
    """List the models that have the tag of this library and that the saved token may see, by name.

    Args:
        pattern: An fnmatch pattern for "org/name", for example "*mnist*".
        author: A user or an organization; None is anyone.

    Raises:
        HubError: The Hub cannot be reached.
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
