"""Every tab of a dial, narrow and wide, light and dark: it fits, and axe-core finds nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import DEFAULT_MODEL
from page.browser.dial import Dial
from page.browser.looks import assert_accessible, photograph

SCHEMES = ("light", "dark")

pytestmark = pytest.mark.long


@pytest.mark.parametrize("width", [320, 360, 1400])
@pytest.mark.parametrize("name", [DEFAULT_MODEL, "mrvae_resnet.cifar10", "mrvae_resnet_spatial.photos"])
def test_every_tab(dial: Callable[..., Dial], node_modules: Path, name: str, width: int) -> None:
    opened = dial(name, viewport={"width": width, "height": 900})
    tabs = opened.page.get_by_role("tab")
    for index in range(tabs.count()):
        tabs.nth(index).click()
        opened.page.wait_for_timeout(500)  # what a tab shows is computed
        assert opened.is_as_wide_as_the_window()
        for scheme in SCHEMES:
            opened.page.emulate_media(color_scheme=scheme)
            tab = (tabs.nth(index).get_attribute("id") or "").removeprefix("tab-")
            photograph(opened, f"{name}-{tab}-{width}-{scheme}")
            assert_accessible(opened, node_modules)


def test_nothing_jumps_while_the_page_loads(dial: Callable[..., Dial]) -> None:
    opened = dial()
    script = """() => new Promise((resolve) => {
      let sum = 0;
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
      }).observe({ type: "layout-shift", buffered: true });
      setTimeout(() => resolve(sum), 500);
    })"""
    assert opened.page.evaluate(script) < 0.05  # below 0.1 counts as good
