"""The page as one HTML file: no network, a strict content security policy, everything escaped.

Text is the CommonMark of the page through a parser that lets no HTML through; pictures are images of their
own, so that their styles need no leave; the only scripts and styles are ours, allowed by their hash.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator, Sequence
from importlib import resources
from importlib.util import find_spec
from typing import Any

from fabric.errors import ExtraError
from fabric.reporting.document import Block, Folded, Page, Picture

_HERE = resources.files("fabric.reporting")


def require_parser() -> None:
    """Raise if CommonMark cannot be read here.

    Raises
    ------
    ExtraError
        If markdown-it-py is not installed.
    """
    if find_spec("markdown_it") is None:
        msg = "--html needs markdown-it-py, which is not installed here; run: pip install 'fabtopo[report]'"
        raise ExtraError(msg)


def page_html(page: Page, topology: dict[str, object] | None = None, sizes: Sequence[object] = ()) -> str:
    """Return a page as one HTML file.

    Parameters
    ----------
    page : Page
    topology : dict, optional
        What `fabric.reporting.explorer.topology` returns.
    sizes : sequence
        For each size the pairs of name and value that the slider shows.
    """
    style = _HERE.joinpath("page.css").read_text("utf-8")
    names = [*(["explorer.js"] if topology else []), *(["slider.js"] if sizes else [])]
    scripts = [_HERE.joinpath(name).read_text("utf-8") for name in names]
    allowed = " ".join(map(_hash, scripts)) or "'none'"
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src {_hash(style)}",
            f"script-src {allowed}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    head = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(page.title)}</title>",
        f"<style>{style}</style></head><body>",
        f"<h1>{html.escape(page.title)}</h1>",
        f"<nav>{' '.join(_links(page))}</nav>",
    ]
    body = list(_sections(page, topology, sizes))
    tail = [f"<script>{script}</script>" for script in scripts]
    return "\n".join([*head, "<main>", *body, "</main>", *tail, "</body></html>"]) + "\n"


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _slug(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


def _links(page: Page) -> Iterator[str]:
    return (f'<a href="#{_slug(s.title)}">{html.escape(s.title)}</a>' for s in page.told)


def _sections(page: Page, topology: dict[str, object] | None, sizes: Sequence[object]) -> Iterator[str]:
    for i, section in enumerate(page.told):
        yield f'<section id="{_slug(section.title)}"><h2>{html.escape(section.title)}</h2>'
        yield from (_block(block) for block in section.filled)
        if sizes and section.title == "Other sizes and designs":
            yield _slider(sizes)
        yield "</section>"
        if topology and not i:
            yield _explorer(topology)


def _block(block: Block) -> str:
    if isinstance(block, Picture):
        data = base64.b64encode(block.svg.encode()).decode()
        alt = html.escape(block.title)
        return f'<figure><img alt="{alt}" src="data:image/svg+xml;base64,{data}"></figure>'
    if isinstance(block, Folded):
        return f"<details><summary>{html.escape(block.title)}</summary>{_rendered(block.text)}</details>"
    return _rendered(block)


def _rendered(text: str) -> str:
    """Return CommonMark with tables as HTML; HTML in it is text, and links lead to the web only."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        # Styles on an element are not allowed here: a class says the same.
        if "right" in str(token.attrs.pop("style", "")):
            token.attrSet("class", "right")
        for child in token.children or []:
            _tame(child)
    shown = str(parser.renderer.render(tokens, parser.options, {}))
    return shown.replace("<table>", '<div class="wide-table"><table>').replace("</table>", "</table></div>")


def _tame(token: Any) -> None:  # noqa: ANN401 - a token of markdown-it, which is loaded on use
    """Let a link say nothing of where it was followed from; no picture comes from text."""
    if token.type == "link_open":
        token.attrSet("rel", "noopener noreferrer")
    elif token.type == "image":
        token.type, token.content = "text", token.content
        token.attrs = {}


def _data(name: str, value: object) -> str:
    """Return data for a script, which no text in it can end."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _explorer(topology: dict[str, object]) -> str:
    return "\n".join(
        [
            '<section id="topology-section"><h2>Topology to explore</h2>',
            '<div id="controls" hidden><span id="views"></span> ',
            '<label>Load of <select id="collective"></select></label></div>',
            '<div class="wide-table"><svg id="explorer" role="group" aria-label="Topology"></svg></div>',
            '<p id="told" aria-live="polite"></p>',
            "<noscript><p>Without scripts the topology is in the tables and the wiring picture below.</p>",
            f"{_plain(topology)}</noscript>",
            _data("topology", topology),
            "</section>",
        ]
    )


def _plain(topology: dict[str, object]) -> str:
    """Return the classes as a table, for readers without scripts."""
    views = topology["views"]
    first = views[0] if isinstance(views, list) and views else {"links": []}
    rows = [
        "<tr>" + "".join(f"<td>{html.escape(str(told))}</td>" for told in link["told"][:4]) + "</tr>"
        for link in first["links"]
    ]
    head = "".join(f"<th>{name}</th>" for name in ("Rule", "Cables", "Of a device", "Capacity"))
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _slider(sizes: Sequence[object]) -> str:
    return "\n".join(
        [
            '<div id="size-box" hidden><label>Size <input type="range" id="size" min="0" value="0" step="1">'
            '</label><dl id="size-told" aria-live="polite"></dl></div>',
            _data("sizes", list(sizes)),
        ]
    )
