"""The fuzz harness: its inputs are the same for a number, hostile, and what is wrong is flagged."""

import importlib
import importlib.util
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import networkx as nx
import pytest

TOOL = Path(__file__).parents[2] / "tools" / "fuzz"
SMALL = b"""{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}},
links: [{between: [gpu, leaf], rate: 400Gb/s}]}"""


@pytest.fixture
def fuzz(monkeypatch, tmp_path):
    """The modules of the tool, in an empty folder, with its alarm in place."""
    monkeypatch.syspath_prepend(str(TOOL))
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGPROF)
    spec = importlib.util.spec_from_file_location("fuzz_main", TOOL / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fuzz_main", module)
    spec.loader.exec_module(module)
    signal.signal(signal.SIGPROF, module._stop)
    yield module
    signal.signal(signal.SIGPROF, before)
    for name in ("cases", "mutate"):
        sys.modules.pop(name, None)


def test_a_number_is_an_input(fuzz):
    first = [fuzz.cases.case(n) for n in range(60)]
    again = [fuzz.cases.case(n) for n in range(15)]
    assert [one.arguments for one in first[:15]] == [one.arguments for one in again]
    assert [one.files for one in first[:15]] == [one.files for one in again]
    kinds = Counter(one.kind for one in first)
    read = {"file", "log", "calibration", "prices", "job", "found", "expectation", "study"}
    assert set(kinds) == {*read, "topology", "arguments", "graph", "design"}
    assert sum(one.files != again[0].files for one in first) > 36


def answers(monkeypatch, fuzz, answer):
    """Have every command answer so, and return what the harness finds."""
    case = fuzz.cases.Case("topology", ("check", "a.fabric.yaml", "--json"), {"a.fabric.yaml": SMALL})
    monkeypatch.setattr(fuzz.cases, "case", lambda number: case)
    monkeypatch.setattr(importlib.import_module("fabric.cli"), "main", answer)
    return fuzz._found(7)


def test_a_sound_answer_is_not_flagged(monkeypatch, fuzz):
    case = fuzz.cases.Case("topology", ("check", "a.fabric.yaml", "--json"), {"a.fabric.yaml": SMALL})
    monkeypatch.setattr(fuzz.cases, "case", lambda number: case)
    assert fuzz._found(7) is None
    refused = fuzz.cases.Case("topology", ("check", "a.fabric.yaml"), {"a.fabric.yaml": b"a: ["})
    monkeypatch.setattr(fuzz.cases, "case", lambda number: refused)
    assert fuzz._found(7) is None


def raises(error):
    def answer():
        raise error

    return answer


def spin():
    while True:
        pass


@pytest.mark.some(4)
@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (raises(ValueError("x")), "ValueError at "),
        (raises(MemoryError()), "MemoryError at "),
        (raises(SystemExit(3)), "status 3"),
        (raises(SystemExit(2)), "status 2 with 0 characters"),
        (lambda: print('{"rate_gbps": NaN}'), "rate_gbps is nan"),
        (lambda: print('{"rows": [{"time_s": -1.5}]}'), "time_s is -1.5"),
        (lambda: print('{"time_s": Infinity}'), "time_s is inf"),
        (lambda: print("a\x1b[31mb"), r"control character '\x1b'"),
        (spin, "of a core"),
    ],
)
def test_what_is_wrong_is_flagged(monkeypatch, fuzz, answer, what):
    monkeypatch.setattr(fuzz, "LIMIT_S", 0.2)
    found = answers(monkeypatch, fuzz, answer)
    assert what in found.what
    assert (found.number, found.kind) == (7, "topology")


def test_a_graph_that_breaks_is_flagged(monkeypatch, fuzz):
    graph = nx.Graph([(0, 1, {"capacity": 1.0})])
    monkeypatch.setattr(fuzz.cases, "case", lambda number: fuzz.cases.Case("graph", graph=graph))
    assert fuzz._found(1) is None
    monkeypatch.setattr(
        importlib.import_module("fabric.graph.exchange"), "from_networkx", raises(TypeError("x"))
    )
    monkeypatch.setattr(
        importlib.import_module("fabric"), "from_networkx", raises(TypeError("x")), raising=False
    )
    assert "TypeError" in fuzz._found(1).what


def test_a_process_that_dies_is_one_finding_and_the_rest_goes_on(monkeypatch, fuzz, capfd):
    def found(number, *, is_told=False):
        if number == 12:
            os._exit(9)
        return fuzz.Finding(number, "log", "same") if number in (13, 14) else None

    monkeypatch.setattr(fuzz, "_found", found)
    findings = fuzz.campaign(range(10, 16), Path("kept").resolve())
    assert [one.number for one in findings] == [12, 13]
    assert "the process died" in findings[0].what
    out = capfd.readouterr().out
    assert "6 of 6 inputs" in out
    assert "2 x log: same" in out
    assert (Path("kept") / "13" / "told.txt").exists()


def test_what_does_not_heed_the_alarm_is_given_up_by_the_core_that_it_keeps_busy(fuzz, monkeypatch, capfd):
    def solve(number):
        # As in a solver, no signal is handled.
        while number == 5:
            pass

    monkeypatch.setattr(fuzz, "_found", solve)
    monkeypatch.setattr(fuzz, "PATIENCE_S", 0.2)
    assert [one.what for one in fuzz.campaign(range(4, 7), None)] == ["no answer within 0.2 s of a core"]
    assert "3 of 3 inputs" in capfd.readouterr().out
