"""Who has an account, with which token, and what each may do."""

from dataclasses import dataclass

ORGANIZATIONS = {"zoo": ("ada",)}  # organization -> its members


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who a token belongs to, and whether it may write."""

    user: str
    writes: bool

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Where this user's repositories are: the user's own name, and the organizations the user is in."""
        return (self.user, *(name for name, members in ORGANIZATIONS.items() if self.user in members))


TOKENS = {
    "write": "hf_ada_may_write",
    "read": "hf_ada_may_read",
    "other": "hf_bob_may_write",
    "wrong": "hf_nobody",
}
ACCOUNTS = {
    TOKENS["write"]: Account(user="ada", writes=True),
    TOKENS["read"]: Account(user="ada", writes=False),
    TOKENS["other"]: Account(user="bob", writes=True),
}
