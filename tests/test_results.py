"""Every answer has the same names in Python, in JSON and in data frames, and prints as its text."""

import dataclasses
import json
import math

import pytest

import fabric
from fabric.results import Result, frame

TEXT = """
fabric: small <b>
axes: {node: 4, slot: 2, spine: 2}
devices:
  gpu: {kind: gpu, axes: [node, slot]}
  leaf: {kind: switch, axes: [slot]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
""".replace(" <b>", "")

ANSWERS = {
    "bom": lambda f: fabric.bom(f),
    "bottleneck": lambda f: fabric.bottleneck(f),
    "bound": lambda f: fabric.bound(f, "all-reduce"),
    "chunk_bound": lambda f: fabric.chunk_bound(f, "all-gather"),
    "hop_bound": lambda f: fabric.bound(f, "all-to-all", kind="tub"),
    "max_flow": lambda f: fabric.max_flow(f, "node0/gpu0", "node1/gpu0", devices=True),
    "throughput": lambda f: fabric.throughput(f),
    "cost": lambda f: fabric.cost(
        f, "all-reduce", "1MiB", algorithm="all", routing="hashed", calibration="wire"
    ),
    "sweep": lambda f: fabric.sweep(f, "all-gather", "1MiB..2MiB", calibration="wire"),
    "scale": lambda _: fabric.scale(
        gpus=[64], rack="hgx-h100", leaf="qm9700", has_knees=False, calibration="wire"
    ),
}


@pytest.fixture(scope="module")
def small():
    return fabric.loads(TEXT)


@pytest.fixture(scope="module", params=ANSWERS)
def answer(request, small):
    return ANSWERS[request.param](small)


def test_json_has_the_names_of_python(answer):
    found = json.loads(answer.to_json())
    assert isinstance(answer, Result)
    shown = [f.name for f in dataclasses.fields(answer) if f.metadata.get("json", True)]
    if "to_dict" not in vars(type(answer)):
        assert list(found) == [*shown, *answer.shown]
    assert set(answer.shown) <= set(found)
    assert "solve_s" not in found
    assert found == json.loads(json.dumps(answer.to_dict()))


def test_two_runs_are_equal(answer, small, request):
    again = ANSWERS[request.node.callspec.params["answer"]](small)
    assert again == answer
    assert again.to_json() == answer.to_json()


def test_a_notebook_shows_the_text(answer):
    page = answer._repr_html_()
    text, picture = page.removeprefix("<pre>").split("</pre>")
    assert "<" not in text  # all is escaped
    assert picture == answer.picture()
    told = []
    answer._repr_pretty_(type("Printer", (), {"text": lambda _, text: told.append(text)})(), False)
    assert told == [str(answer)]


@pytest.mark.some(8)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_has_the_rows_of_the_table(answer, library):
    made, table = answer.to_frame(library), answer.table()
    assert len(made) == len(table) > 0
    assert list(made.columns) == list(table[0])


def test_what_is_infinite_is_null():
    @dataclasses.dataclass(frozen=True, slots=True)
    class Answer(Result):
        rate_gbps: float
        took_s: float = dataclasses.field(default=1.0, metadata={"json": False})

    assert json.loads(Answer(math.inf).to_json()) == {"rate_gbps": None}
    assert json.loads(Answer(math.nan).to_json()) == {"rate_gbps": None}
    assert Answer(2.0).table() == [{"rate_gbps": 2.0}]


def test_a_frame_of_an_unknown_library_is_refused():
    with pytest.raises(fabric.FabricError, match="no data frames of excel"):
        frame([], "excel")
