"""How a page looks: screenshots, kept in the folder that MRVAE_SCREENSHOTS names, and what axe-core says of it."""

import os
from pathlib import Path

from page.browser.dial import Dial

FAULTS = """async () => {
  const { violations } = await axe.run();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
}"""


def photograph(dial: Dial, name: str) -> None:
    """Keeps a picture of the whole page, where somebody wants one."""
    if folder := os.environ.get("MRVAE_SCREENSHOTS"):
        dial.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def assert_accessible(dial: Dial, node_modules: Path) -> None:
    """axe-core finds no violation."""
    dial.page.evaluate((node_modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))  # past the page's policy
    assert dial.page.evaluate(FAULTS) == []
