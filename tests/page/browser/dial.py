"""A dial in a browser, as a test sees it: what it shows, what it computed, and what it did that it should not."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Route

PATIENCE = 90_000  # milliseconds: a bound for a page that hangs, not for one that is slow
RESULT = """() => {
  const result = window.mrvae.result();
  return Object.fromEntries(Object.entries(result).map(([key, value]) =>
    [key, ArrayBuffer.isView(value) ? Array.from(value) : value]));
}"""


@dataclass
class Watch:
    """What a browser context did: errors on the console or thrown, and requests to hosts other than `origin`."""

    context: "BrowserContext"
    origin: str
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.set_default_timeout(PATIENCE)
        self.context.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.context.on("weberror", lambda error: self.errors.append(str(error.error)))
        self.context.route("**/*", self._route)

    def _route(self, route: "Route") -> None:
        if route.request.url.startswith(self.origin):
            route.continue_()
        else:
            self.elsewhere.append(route.request.url)
            route.abort("blockedbyclient")

    def check(self) -> None:
        """Nothing went wrong, and nothing was asked of another host."""
        assert self.errors == []
        assert self.elsewhere == []


class Dial:
    """The page of a model, open in a tab."""

    def __init__(self, page: "Page", url: str, folder: Path, watch: Watch) -> None:
        self.page, self.url, self.folder, self.watch = page, url, folder, watch

    def load(self, address: str = "") -> "Dial":
        """Loads the page with what comes after its URL, and returns once that is done."""
        self.page.goto("about:blank")  # an address that differs in its hash alone would not load the page
        self.page.goto(self.url + address)
        return self

    def open(self, address: str = "") -> "Dial":
        """Loads the page, and returns once the dial can be turned."""
        self.load(address).page.evaluate("() => window.mrvae.ready")
        return self

    def turn(self, beta: float) -> dict[str, Any]:
        """Turns the dial, and returns what the page then computed."""
        self.page.evaluate("(beta) => window.mrvae.setBeta(beta)", beta)
        return self.result()

    def result(self) -> dict[str, Any]:
        """What the page computed last; arrays as float32 tensors without a shape."""
        found = self.page.evaluate(RESULT)
        return {
            key: torch.from_numpy(np.asarray(value, np.float32)) if isinstance(value, list) else value
            for key, value in found.items()
        }

    def state(self) -> dict[str, Any]:
        """What the address holds."""
        return self.page.evaluate("() => window.mrvae.state()")

    def until(self, condition: str, argument: object = None) -> None:
        """Returns once a condition holds in the page."""
        end = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate(condition, argument):
            assert time.monotonic() < end, condition
            self.page.wait_for_timeout(20)

    def settle(self) -> dict[str, Any]:
        """Returns what the page computed, once that is at the β where the dial stands."""
        self.until("() => Math.abs(mrvae.result().beta / mrvae.state().beta - 1) < 1e-6")
        return self.result()

    def picture(self) -> bytes:
        """The pixels of the reconstruction, as the page shows them."""
        data = self.page.evaluate("() => document.getElementById('reconstruction').toDataURL()")
        return data.encode()

    def message(self) -> str:
        """What the page says to its reader, once it says something."""
        self.until("() => document.getElementById('message').textContent.trim() !== ''")
        return self.page.inner_text("#message")

    def is_as_wide_as_the_window(self) -> bool:
        """Nothing has to be scrolled to the side."""
        return self.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
