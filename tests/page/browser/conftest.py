"""Pages of models, served on loopback to a real browser that reaches no other host."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from helpers import CHECKOUT, DEFAULT_MODEL
from page.browser.dial import Dial, Watch

import mrvae_zoo
from mrvae_zoo.page.build import write_page
from mrvae_zoo.page.serving import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NODE_MODULES = CHECKOUT / "web" / "node_modules"
FOLDED = f"{DEFAULT_MODEL}-at-0.5"  # what stands for the embedded model, folded
ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]

Model = mrvae_zoo.MultiRateVAE | mrvae_zoo.FixedRateVAE
OpenDial = Callable[..., Dial]


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The npm packages, or a skip."""
    if not (NODE_MODULES / "onnxruntime-web").is_dir():
        pytest.skip("no npm packages here; run: make browser")
    return NODE_MODULES


@pytest.fixture(scope="session")
def model_of() -> Callable[[str], Model]:
    """The models of the pages, by the names that tests call them."""

    def model_of(name: str) -> Model:
        model = mrvae_zoo.load_pretrained(name.removesuffix("-at-0.5"))
        assert isinstance(model, mrvae_zoo.MultiRateVAE)
        return model.at(0.5) if name == FOLDED else model

    return model_of


@pytest.fixture(scope="session")
def page_of(
    node_modules: Path, model_of: Callable[[str], Model], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Builds the page of a model once: a folder with the runtime in it. MRVAE_PAGE is one that is built already."""
    pytest.importorskip("onnx", reason="no onnx here; install the extra `export`")
    root = tmp_path_factory.mktemp("pages")
    if ready := os.environ.get("MRVAE_PAGE"):
        shutil.copytree(ready, root / DEFAULT_MODEL)

    def page_of(name: str) -> Path:
        folder = root / name
        if not folder.exists():
            write_page(model_of(name) if name == FOLDED else name, folder, runtime=node_modules / "onnxruntime-web")
        return folder

    return page_of


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves folders as they are when they are first asked for, each at an address of its own."""
    urls: dict[Path, str] = {}
    with ExitStack() as servers:
        yield lambda folder: urls.get(folder) or urls.setdefault(folder, servers.enter_context(serving(folder)))


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Debian's Chromium, or a skip. It ends with the module, as Playwright's loop keeps asyncio from other tests."""
    pytest.importorskip("playwright", reason="no playwright here; install the extra `dev`")
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium here; run as root: make browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: "Browser", serve: Callable[[Path], str]) -> Iterator[Callable[..., Dial]]:
    """Opens a folder in a tab; at the end, no tab may have had an error or asked another host, unless faults=True."""
    watches: list[Watch] = []

    def visit(folder: Path, *, faults: bool = False, **options: Any) -> Dial:
        url = serve(folder)
        context = browser.new_context(**options)
        watch = Watch(context, url)
        if not faults:
            watches.append(watch)
        return Dial(context.new_page(), url, folder, watch)

    yield visit
    for context in browser.contexts:
        context.close()
    for watch in watches:
        watch.check()


@pytest.fixture
def dial(visit: Callable[..., Dial], page_of: Callable[[str], Path]) -> OpenDial:
    """Opens the page of a model, by its name."""

    def dial(name: str = DEFAULT_MODEL, address: str = "?runtime=wasm", **options: Any) -> Dial:
        return visit(page_of(name), **options).open(address)

    return dial
