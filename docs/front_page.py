"""The front page of the site: docs/index.md with the gallery in it, a card for every trained model."""

import os
from collections.abc import Iterator
from html import escape
from pathlib import Path

import mrvae_zoo
from mrvae_zoo.checkpoints.index import IndexEntry, read_index
from mrvae_zoo.data.sets import data_facts
from mrvae_zoo.page.examples import find_examples
from mrvae_zoo.page.gallery import strip_of
from mrvae_zoo.page.static import static_files

DOCS = Path(__file__).parent
MARKER = "<!-- gallery -->"  # in index.md, where the cards go
SHARED = ("cards.css", "filters.js")  # of the gallery that `mrvae page --pages` writes
DIALS = "MRVAE_DIALS"  # set where the dials are put into the site, in dial/
GALLERY = """<div class="gallery" markdown="0">
<ul class="cards">
{cards}
</ul>
</div>
<script type="module">
import {{ addFilters }} from "./gallery/filters.js";
addFilters(document.querySelector(".gallery"));
</script>"""
CARD = """<li class="card" data-data="{data}" data-architecture="{architecture}">
<img class="strip" src="images/strips/{name}.png" alt="One test image, reconstructed at 7 β from {low:g} to {high:g}">
<p class="scale" aria-hidden="true"><span>β = {low:g}</span><span>β = {high:g}</span></p>
<h2><a href="{href}">{name}</a></h2>
<p class="facts">{title}</p>
<p class="facts">{size} · <a href="models/{name}.html">figures</a></p>
</li>"""


def front_page() -> Iterator[tuple[str, str | bytes]]:
    """The page, and what it loads. Names lead to dials where the site has them, else to the pages of the models."""
    models = read_index()
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    cards = "\n".join(card(name, entry, dials=DIALS in os.environ) for name, entry in models.items())
    yield "index.md", text.replace(MARKER, GALLERY.format(cards=cards))
    files = static_files("gallery")
    for name in SHARED:
        yield f"gallery/{name}", files[name]
    for name in models:
        model = mrvae_zoo.load_pretrained(name)
        yield f"images/strips/{name}.png", strip_of(model, find_examples(model, images=None, data_root=None)[0])


def card(name: str, entry: IndexEntry, *, dials: bool) -> str:
    """The card of a model, as the gallery's own script makes it."""
    facts = None if entry.data is None else data_facts(entry.data)
    millions = entry.parameters >= 1e6
    parameters = f"{entry.parameters / 1e6:.2f} M" if millions else f"{entry.parameters / 1e3:.0f} k"
    return CARD.format(
        name=escape(name),
        data=escape(entry.data or ""),
        architecture=escape(entry.architecture),
        low=entry.beta_range[0],
        high=entry.beta_range[1],
        href=f"dial/{name}/index.html" if dials else f"models/{name}.html",
        title="" if facts is None else escape(facts.title),
        size=f"{parameters} parameters · {entry.bytes / 1e6:.1f} MB",
    )
