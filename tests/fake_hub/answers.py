"""How the Hub says no: a status, and the headers from which its client picks an exception."""

from starlette.responses import JSONResponse


class RefusedError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: of HTTP.
        message: in the body and in X-Error-Message.
        code: for X-Error-Code, where the client has an exception of its own for it.
        headers: sent with it.
        body: what else its JSON holds.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        body: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.headers, self.body = headers or {}, body or {}

    def response(self) -> JSONResponse:
        """What is sent."""
        code = {"X-Error-Code": self.code} if self.code else {}
        headers = {**self.headers, **code, "X-Error-Message": self.message}
        return JSONResponse({"error": self.message, **self.body}, self.status, headers)


def no_repository(*, anonymous: bool) -> RefusedError:
    """A repository that is not there, or that the caller may not know of; to nobody in particular that is a 401."""
    if anonymous:
        return RefusedError(401, "Invalid username or password.", "RepoNotFound")
    return RefusedError(404, "Repository not found", "RepoNotFound")


def no_revision(revision: str) -> RefusedError:
    return RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def no_entry(commit: str) -> RefusedError:
    return RefusedError(404, "Entry not found", "EntryNotFound", headers={"X-Repo-Commit": commit})
