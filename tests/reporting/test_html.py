"""The page as one file: nothing from outside, nothing of a file's texts as markup, views of a bounded "
"size."""

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from fabric.errors import QuestionError
from fabric.graph import loads
from fabric.reporting import answers, report
from fabric.reporting import page as page_of_report
from fabric.reporting.document import PROVENANCE, Folded, Page, Picture, Section
from fabric.reporting.explorer import MOST, topology
from fabric.reporting.html import page_html
from fabric.sizing.summary import summarize

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"&' "
HOSTILE += "![p](http://e.x/p.png) [l](javascript:a)"

RACKS = "{{fabric: a, islands: {0}, include: {{fabric: gb300-nvl72, over: {{rack: {0}}}}}}}"


class Elements(HTMLParser):
    """Elements with their attributes, and the data in scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.found, self.inside, self._open = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._open = (tag, dict(attrs)) if tag in ("script", "style") else None

    def handle_data(self, data):
        if self._open:
            self.inside.append((*self._open, data))
            self._open = None


def page(*sections):
    return Page("a <b> page", (*sections, Section(PROVENANCE, ("where from",))))


@pytest.fixture(scope="module")
def written(small_text, asked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("html")
    text = small_text.replace("about: A test.", f"about: {json.dumps(HOSTILE)}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_of_report, "ask", lambda fabric, summary, progress, given: asked)
        report(loads(text, path="<img onerror=x>.fabric.yaml"), folder, html=True)
    return (folder / "report.html").read_text()


def test_only_what_we_wrote_runs_and_nothing_comes_from_outside(written):
    elements = Elements(written)
    tags = {tag for tag, _ in elements.found}
    assert not tags & {"iframe", "link", "object", "embed", "form", "base", "video", "audio", "font"}
    (policy,) = (
        a["content"] for tag, a in elements.found if a.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(part.split(" ", 1) for part in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    scripts = [
        data for tag, a, data in elements.inside if tag == "script" and a.get("type") != "application/json"
    ]
    styles = [data for tag, _, data in elements.inside if tag == "style"]
    for rule, texts in (("script-src", scripts), ("style-src", styles)):
        digests = {base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in texts}
        assert rules[rule].split() == [f"'sha256-{d}'" for d in digests]
    for tag, attributes in elements.found:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert attributes.get("src", "data:image/svg+xml;base64,").startswith("data:image/svg+xml;base64,")
        if tag == "a":
            assert re.match(r"#|https?://", attributes["href"])


VOID = {"meta", "img", "input", "br", "hr"}


class Sound(HTMLParser):
    """Refuses what browsers mend: elements that are not closed in their order, or two with one id."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.found, self.levels = [], set(), [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        assert len(attributes) == len(attrs), (tag, attrs)
        if "id" in attributes:
            assert attributes["id"] not in self.ids
            self.ids.add(attributes["id"])
        self.found.append((tag, attributes, tuple(self.open)))
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_sound_and_read_without_eyes_mouse_or_scripts(written):
    page = Sound(written)
    assert ("html", {"lang": "en"}, ()) in page.found
    # A heading is at most one below that before it, and all that is linked is there.
    assert page.levels[0] == 1
    assert all(b <= a + 1 for a, b in zip(page.levels, page.levels[1:], strict=False))
    for tag, attributes, above in page.found:
        if tag == "a" and attributes["href"].startswith("#"):
            assert attributes["href"][1:] in page.ids
        if tag == "img":
            assert len(attributes["alt"]) > 10
        if tag in ("input", "select"):
            assert "label" in above
        # What is reached by keys is so in the order of the page.
        assert int(attributes.get("tabindex", "0")) == 0
    # What scripts would show is in a table without them.
    assert [above for tag, _, above in page.found if tag == "table" and "noscript" in above]
    hidden = [a["id"] for _, a, _ in page.found if "hidden" in a]
    assert sorted(hidden) in (["controls"], ["controls", "size-box"])


def test_hostile_texts_are_text(written):
    assert "alert(1)" in written
    assert "<script>alert" not in written
    assert "<img src=x" not in written
    assert "<img onerror" not in written
    (data,) = (d for tag, a, d in Elements(written).inside if a.get("id") == "topology")
    assert "<" not in data
    json.loads(data)


def test_hostile_data_cannot_end_its_script():
    text = page_html(page(), {"views": [{"links": [], "boxes": [], "told": HOSTILE}], "loads": {}})
    (data,) = (d for tag, a, d in Elements(text).inside if a.get("id") == "topology")
    assert json.loads(data)["views"][0]["told"] == HOSTILE


def test_markup_of_a_page_is_kept_and_that_of_texts_is_not():
    table = "| a | b |\n| --- | ---: |\n| **1** | `<i>` |"
    text = page_html(
        page(Section("One & two", (table, Folded("more <", "- <b>x</b> ![i](http://e.x/i.png)"))))
    )
    assert '<td class="right"><code>&lt;i&gt;</code></td>' in text
    assert "<strong>1</strong>" in text
    assert '<section id="one-two"><h2>One &amp; two</h2>' in text
    assert "<details><summary>more &lt;</summary>" in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    assert "<img" not in text


def test_pictures_are_the_svg_itself():
    picture = Picture("a.svg", 'says "so"', "<svg>é</svg>")
    (found,) = (a for tag, a in Elements(page_html(page(Section("P", (picture,))))).found if tag == "img")
    assert found["alt"] == 'says "so"'
    assert base64.b64decode(found["src"].partition(",")[2]).decode() == picture.svg


@pytest.mark.parametrize("sections", [(), (Section("Summary", ("a",)),), (Section(PROVENANCE, ("",)),)])
def test_without_provenance_no_page_is_made(sections):
    with pytest.raises(QuestionError, match="no provenance"):
        Page("a", sections)


def explored(fabric):
    summary = summarize(fabric)
    return topology(fabric, summary, answers.Answers((), (), (), None))


@pytest.mark.parametrize(
    ("text", "views"),
    [
        (RACKS.format(1000), ["classes", "one-rack", "one-tray"]),
        ("{fabric: a, islands: 4, include: {fabric: hgx-h100, over: {node: 4}}}", ["classes", "one-server"]),
        ("{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}, "
         "links: [{between: [gpu, leaf], rate: 1Gb/s}]}", ["classes"]),
    ],
)  # fmt: skip
def test_views_are_small_whatever_the_fabric(text, views):
    found = explored(loads(text))["views"]
    assert [view["name"] for view in found] == views
    for view in found:
        assert 0 < len(view["boxes"]) + len(view["links"]) <= MOST
        for box in view["boxes"]:
            assert 0 <= box["x"] <= box["x"] + box["w"] <= view["width"]
            assert 0 <= box["y"] <= box["y"] + box["h"] <= view["height"]
            assert box["opens"] in ("", *views)


def test_a_tray_is_joined_as_its_template_says():
    _, rack, tray = explored(loads(RACKS.format(2)))["views"]
    names = [box["lines"][0] for box in tray["boxes"]]
    assert sorted(n for n in names if n.startswith(("gpu", "grace", "dpu"))) == [
        "dpu0", "gpu0", "gpu1", "gpu2", "gpu3", "grace0", "grace1",
    ]  # fmt: skip
    rules = [link["rule"] for link in tray["links"]]
    # Each GPU has one Grace and one NIC, each NIC one Grace; the DPU is on module 0 alone.
    assert {r: rules.count(r) for r in set(rules)} == {
        "gpu-nvswitch": 4, "gpu-grace": 4, "gpu-nic": 4, "grace-nic": 4, "grace-dpu": 1,
    }  # fmt: skip
    assert [link["rule"] for link in rack["links"]].count("gpu-nvswitch") == 18 * 9


_COLOURS = """[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]
    .map(text => text.match(/\\d+/g).slice(0, 3).map(Number))"""


def contrast(one, other):
    """Return the contrast of two colours, 1 to 21."""

    def bright(colour):
        parts = [c / 255 for c in colour]
        line = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * line[0] + 0.7152 * line[1] + 0.0722 * line[2]

    low, high = sorted([bright(one), bright(other)])
    return (high + 0.05) / (low + 0.05)


def chromium():
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    return found


@pytest.mark.slow
def test_in_a_browser_it_is_silent_asks_for_nothing_and_hears_keys(written, tmp_path):
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    file = tmp_path / "report.html"
    file.write_text(written)
    said, asked = [], []
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        tab = browser.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(file.as_uri())
        assert tab.evaluate("[...document.images].filter(i => !i.naturalWidth).length") == 0
        tab.locator("#views button").nth(1).focus()
        tab.keyboard.press("Enter")
        assert tab.locator("#views button[aria-pressed=true]").inner_text() == "one rack"
        tab.locator(".link").first.focus()
        assert "capacity of all" in tab.locator("#told").inner_text()
        # On a telephone wide things scroll in their place; the page does not.
        tab.set_viewport_size({"width": 390, "height": 844})
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
        # Letters are told from the paper, by day and by night (WCAG 2.2, 1.4.3).
        for scheme in ("light", "dark"):
            tab.emulate_media(color_scheme=scheme)
            ink, paper = tab.evaluate(_COLOURS)
            assert contrast(ink, paper) >= 7
        browser.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
