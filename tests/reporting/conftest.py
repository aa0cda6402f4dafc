"""Small fabrics with everything that a report shows."""

import itertools
import re
import xml.etree.ElementTree as ET

import pytest

from fabric.graph import loads
from fabric.reporting import answers, page
from fabric.reporting.sheet import text_width
from fabric.sizing.summary import summarize

# 16 GPUs in 4 NVLink domains; 2 leaves, 1 spine, 2:1 oversubscribed; a side network and a management host.
SMALL = """
fabric: small
about: A test.
axes: {rack: 4, chip: 2, rail: 2, lane: 2, slot: [rail, lane]}
devices:
  gpu:    {part: gb300_gpu, axes: [rack, slot], transit: relay}
  chip:   {part: nvlink5_switch, axes: [rack, chip]}
  nic:    {part: cx8, axes: [rack, slot]}
  cpu:    {part: grace, axes: [rack, rail]}
  leaf:   {part: sn5610, axes: [rail]}
  spine:  {kind: switch, axes: []}
  admin:  {kind: host, endpoint: false, axes: []}
links:
  - {between: [gpu, chip], link: nvlink5, count: 9, each: [18, 36]}
  - {between: [gpu, nic], link: pcie6, each: 1}
  - {between: [gpu, cpu], link: c2c-grace, each: [1, 2]}
  - {between: [nic, leaf], rate: 400Gb/s, count: 2, medium: opt_400_sm, each: [2, 16]}
  - {between: [leaf, spine], rate: 400Gb/s, count: 8}
  - {between: [admin, leaf], rate: 400Gb/s, each: [2, 1]}
absent: [rack3/slot3/*]
"""


@pytest.fixture(scope="session")
def small_text():
    return SMALL


@pytest.fixture(scope="session")
def small(small_text):
    return loads(small_text, path="small.fabric.yaml")


@pytest.fixture(scope="session")
def asked(small):
    """Return the answers to all that a report asks of the small fabric."""
    return answers.ask(small, summarize(small), lambda done, total: None)


@pytest.fixture
def known(asked, monkeypatch):
    """Let a report take the answers of the small fabric, where they are not what is tested."""
    monkeypatch.setattr(page, "ask", lambda fabric, summary, progress, given: asked)


def _boxes(root):
    """Yield the texts of a picture with the box of each: left, top, right, bottom."""
    for element in root.iter():
        if element.tag.endswith("}text") and element.text:
            style = dict(item.strip().split(": ", 1) for item in element.get("style").split(";"))
            # Matplotlib up to 3.9 says all of a font at once: "font: 700 9px sans-serif".
            font = style.get("font", "")
            size = float((style.get("font-size") or re.search(r"[\d.]+px", font)[0]).removesuffix("px"))
            weight = "bold" if "700" in (style.get("font-weight"), *font.split()) else "normal"
            wide = 72 * text_width(element.text, size, weight)
            before = {"start": 0.0, "middle": 0.5, "end": 1.0}[style["text-anchor"]]
            left = float(element.get("x")) - wide * before
            line = float(element.get("y"))
            yield element.text, (left, line - 0.73 * size, left + wide, line)


@pytest.fixture(scope="session")
def text_faults():
    """Return what finds the texts of an SVG that leave the sheet, and the pairs that lie on each other."""

    def faults(svg):
        root = ET.fromstring(svg)
        *_, width, height = map(float, root.get("viewBox").split())
        found = list(_boxes(root))
        cut = [t for t, (x0, y0, x1, y1) in found if min(x0, y0) < 0 or x1 > width or y1 > height]
        over = [
            (one, other)
            for (one, a), (other, b) in itertools.combinations(found, 2)
            if min(a[2], b[2]) - max(a[0], b[0]) > 0.5 and min(a[3], b[3]) - max(a[1], b[1]) > 0.5
        ]
        return cut + over

    return faults
