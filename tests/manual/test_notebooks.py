"""Notebooks run, what they show is what they show now, and it needs no script."""

import json
import re
import xml.etree.ElementTree as ET

import pytest

import fabric
from fabric.results import Result
from fabric.text.chart import ChartBar, bars, curve
from tools.pages import notebook

NOTEBOOKS = {path.name: path for path in notebook.notebooks()}


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_shows_what_the_program_shows(name):
    committed = NOTEBOOKS[name].read_text(encoding="utf-8")
    assert notebook.executed(committed, name) == committed, "make manual renews it"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_whole(name):
    found = json.loads(NOTEBOOKS[name].read_text(encoding="utf-8"))
    assert (found["nbformat"], len({cell["id"] for cell in found["cells"]})) == (4, len(found["cells"]))
    shown = [
        "".join(output["data"]["text/html"])
        for cell in found["cells"]
        for output in cell.get("outputs", ())
        if "text/html" in output.get("data", {})
    ]
    assert len(shown) > 6
    assert sum("<svg" in html for html in shown) > 4
    for html in shown:
        assert not re.search(r"<script|javascript:|\son\w+=|https?://(?!www\.w3\.org/2000/svg)", html)


def test_a_changed_answer_is_noticed():
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "id": "a", "source": ["1 + 1"]}
    text = json.dumps({"cells": [{**cell, "outputs": []}]})
    (output,) = json.loads(notebook.executed(text, "x"))["cells"][0]["outputs"]
    assert output["data"] == {"text/plain": ["2"]}
    with pytest.raises(NameError, match="nothing"):
        notebook.executed(text.replace("1 + 1", "nothing"), "x")


HOSTILE = '<script>alert("x")</script>&\x1b[31m'


def test_pictures_are_xml_and_names_in_them_are_harmless():
    pictures = [
        bars(HOSTILE, [ChartBar(HOSTILE * 3, 1.0, HOSTILE, is_marked=True), ChartBar("b", float("inf"), "")]),
        bars("many", [ChartBar(str(i), i, str(i)) for i in range(40)]),
        bars("zeros", [ChartBar("a", 0.0, "0")]),
        curve(HOSTILE, HOSTILE, [HOSTILE, "b", "c"], {HOSTILE: [1.0, None, 3.0], "flat": [0.0, 0.0, 0.0]}),
    ]
    for picture in pictures:
        root = ET.fromstring(picture)  # noqa: S314 - ours
        assert root.tag.endswith("svg")
        assert {one.tag.rpartition("}")[2] for one in root.iter()} <= {
            "svg", "title", "text", "rect", "path", "polyline",
        }  # fmt: skip
        assert "\x1b" not in picture
    assert bars("nothing", []) == curve("one place", "", ["a"], {"x": [1.0]}) == ""
    assert "and 16 more" in pictures[1]


def test_a_bar_is_as_long_as_its_value():
    picture = bars("halves", [ChartBar("a", 4.0, "4"), ChartBar("b", 1.0, "1"), ChartBar("c", 0.0, "0")])
    wide = [float(w) for w in re.findall(r'<rect [^>]*width="([\d.]+)"', picture)]
    assert wide[1] / wide[0] == pytest.approx(0.25, abs=0.001)
    assert wide[2] <= 0.5


@pytest.fixture(scope="module")
def answers():
    f = fabric.load("topologies/patterns/fat-tree.fabric.yaml")
    node = fabric.design(gpus=16, rack="hgx-h100", leaf="16x400G")
    g = node.fabric
    return {
        "throughput": fabric.throughput(g),
        "bottleneck": fabric.bottleneck(g),
        "cost": fabric.cost(g, "all-reduce", "1GiB"),
        "sweep": fabric.sweep(g, "all-reduce", "1MiB..1GiB", factor=16),
        "failures": fabric.failures(f),
        "scale": fabric.scale(
            gpus=[16, 32], rack="hgx-h100", leaf="16x400G", has_knees=False, calibration="wire"
        ),
        "bom": fabric.bom(g),
        "design": node,
        "max_flow": fabric.max_flow(f, "pod0", "pod1"),
        "bound": fabric.bound(g, "all-reduce"),
    }


PICTURED = {"throughput", "bottleneck", "cost", "sweep", "failures", "scale"}


def test_answers_show_themselves(answers):
    for name, answer in answers.items():
        assert isinstance(answer, Result)
        html = answer._repr_html_()
        ET.fromstring(f"<div>{html}</div>")  # noqa: S314 - ours
        assert html == answer._repr_html_()
        assert ("<svg" in html) == (name in PICTURED), name


def test_a_picture_has_every_number_that_it_draws_in_words(answers):
    cost = answers["cost"]
    for one in cost.algorithms:
        assert one.name in cost.picture()
    for row in answers["failures"].rows[:5]:
        assert row.name in answers["failures"].picture()
    assert "1 MiB" in answers["sweep"].picture()
    assert "binds" in answers["bottleneck"].picture()
