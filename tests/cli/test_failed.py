"""Failures and slow cables on the command line: every question takes them, and says what they were."""

import json
import re
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from fabric.cli import app as command_line
from fabric.cli import failing

ROOT = Path(__file__).parents[2]
POD = """
fabric: pod
axes: {rack: 2, slot: 4, spine: 2}
devices:
  nic:   {part: cx8, axes: [rack, slot], endpoint: true}
  leaf:  {part: q3400, axes: [rack]}
  spine: {part: q3400, axes: [spine]}
links:
  - {between: [nic, leaf], rate: 800Gb/s}
  - {between: [leaf, spine], rate: 800Gb/s, count: 2}
"""
QUESTIONS = {
    "max-flow": ("--from", "rack0/nic", "--to", "rack1/nic"),
    "throughput": (),
    "bottleneck": (),
    "bound": ("--collective", "all-gather"),
    "cost": ("--collective", "all-gather"),
}


@pytest.fixture
def fabtopo(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command on a file and returns its exit status and what it prints."""

    def run(command, *options, text=POD):
        file = tmp_path / "pod.fabric.yaml"
        file.write_text(text)
        monkeypatch.setattr(sys, "argv", ["fabtopo", command, str(file), *options])
        with pytest.raises(SystemExit, match="[012]") as stop:
            command_line.main()
        found = capsys.readouterr()
        return stop.value.code, found.out, found.err

    return run


@pytest.mark.some(1)
@pytest.mark.parametrize("question", QUESTIONS)
def test_asked_for_as_in_the_file(fabtopo, question):
    options = QUESTIONS[question]
    asked = fabtopo(question, *options, "--failed", "leaf0 - spine1 x 1", "--failed", "asic3/spine0")
    assert asked[0] == 0, asked[2]
    assert asked[1].endswith("\n  failed: leaf0 - spine1 x 1; asic3/spine0\n")
    in_file = fabtopo(question, *options, text=POD + "failed: [[leaf0, spine1, 1], asic3/spine0]\n")
    assert _untimed(in_file[1]) == _untimed(asked[1])
    whole = fabtopo(question, *options)
    assert "failed" not in whole[1]
    assert whole[1] != asked[1]


def _untimed(text):
    return re.sub(r"in [0-9.]+ s", "", text)


@pytest.mark.some(1)
@pytest.mark.parametrize("question", QUESTIONS)
def test_slow_cables_are_asked_for_as_in_the_file(fabtopo, question):
    options = QUESTIONS[question]
    what = ("--degraded", "leaf0 - spine1 x 1 at 400Gb/s", "--degraded", "rack0/nic0 at 1/2")
    asked = fabtopo(question, *options, *what)
    assert asked[0] == 0, asked[2]
    assert asked[1].endswith("\n  degraded: leaf0 - spine1 x 1 at 400Gb/s; rack0/nic0 at 1/2\n")
    in_file = fabtopo(
        question, *options, text=POD + "degraded: [[leaf0, spine1, 1, 400Gb/s], [rack0/nic0, 1/2]]\n"
    )
    assert _untimed(in_file[1]) == _untimed(asked[1])
    as_json = json.loads(fabtopo(question, *options, *what, "--json")[1])
    assert as_json["degraded"] == ["leaf0 - spine1 x 1 at 400Gb/s", "rack0/nic0 at 1/2"]
    assert "failed" not in as_json


@pytest.mark.parametrize("question", QUESTIONS)
def test_json_names_what_failed(fabtopo, question):
    code, out, _ = fabtopo(question, *QUESTIONS[question], "--failed", "spine1", "--json")
    assert (code, json.loads(out)["failed"]) == (0, ["spine1"])


def test_rates_by_hand(fabtopo):
    # 3,200 Gb/s up from each leaf; a spine is half of it, a chip of a spine an eighth.
    def far(*failed):
        _, out, _ = fabtopo("max-flow", *QUESTIONS["max-flow"], "--json", *failed)
        return json.loads(out)["value_gbps"]

    assert far() == 3200
    assert far("--failed", "spine1") == 1600
    assert far("--failed", "asic0/spine1") == 2800
    assert far("--failed", "leaf0 - spine1 x 1") == 2400
    assert far("--degraded", "leaf0 - spine1 x 1 at 25%") == 2600
    assert far("--degraded", "leaf0 - spine1 at 0.25") == 2000
    assert far("--degraded", "spine1 at 200Gb/s") == 2000
    # A lane of a chip is 200 Gb/s when whole.
    assert far("--degraded", "asic0/spine1 at 50Gb/s") == 2900
    assert far("--degraded", "leaf0 at 1/2", "--failed", "leaf0 - spine0") == 800


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nic at 1", "a slow cable has a part between 0 and 1 of its rate; got 1"),
        (
            "nic at 0.0000000000001",
            "a part of 0.0000000000001 is too small; expected at least 1e-12, or write it in failed",
        ),
        ("nic at 0%", "a cable that carries nothing has failed: write it in failed"),
        ("nic at 800Gb/s", "degraded: not slower: 800Gb/s, where the cables are of 800 Gb/s"),
        ("nic", "degraded: expected (selector, how fast)"),
        ("nic - leaf", "degraded: expected (selector, how fast)"),
        ("nic at half", "expected a part of its rate, such as 1/2, 50% or 0.5, or a rate, such as 200Gb/s"),
        ("nic at 400", "a slow cable has a part between 0 and 1 of its rate; got 400"),
        ("nic - spine at 1/2", "degraded: no cable between nic and spine"),
        ("leaf0 - spine1 x 9 at 1/2", "degraded: more degraded cables than there are between"),
        ("spin1 at 1/2", "no device group 'spin'; did you mean spine?"),
        ("nic at 1/0", "expected a part of its rate"),
    ],
)
def test_what_is_no_slow_cable_is_refused(fabtopo, what, message):
    code, out, err = fabtopo("throughput", "--degraded", what)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("spin1", "selector 'spin1': no device group 'spin'; did you mean spine?"),
        (
            "nic - spine",
            "failed: no cable between nic and spine; name two selectors whose devices are joined",
        ),
        ("leaf0-spine1", "; cables between two selectors: 'leaf0 - spine1', with spaces"),
        ("leaf0-1-spine*", "; cables between two selectors: 'leaf0 - spine1', with spaces"),
        ("leef0-1", "no device group 'leef'; did you mean leaf?\n"),
        ("leaf0 - spine1 x 9", "failed: more failed cables than there are"),
        ("leaf0 - spine1 x 0", "expected 1 or more cables; got 0"),
        ("asic7/leaf0", "asic7 is beyond the last index, asic3"),
    ],
)
def test_errors_are_one_message(fabtopo, what, message):
    code, out, err = fabtopo("throughput", "--failed", what)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_check_says_that_boxes_are_several_chips(fabtopo):
    code, out, _ = fabtopo("check")
    assert code == 0
    assert "2 leaf, 2 spine" in out
    assert (
        "note: boxes of several chips, each with a share of every port: leaf (4 ASICs), spine (4 ASICs)"
        in out
    )
    opened = fabtopo("check", text=POD + "failed: [asic1/leaf0]\n")
    assert opened[:2] == (code, out)
    plain = POD.replace("part: q3400", "kind: switch")
    assert "note" not in fabtopo("check", text=plain)[1]


def test_every_command_that_asks_what_fails_asks_what_is_slow():
    options = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in get_command(command_line.app).commands.items()
    }
    asked = {name for name, own in options.items() if "--failed" in own}
    assert {"throughput", "train", "serve"} <= asked
    assert asked == {name for name, own in options.items() if "--degraded" in own}


def test_how_many_processes_answer_where_it_is_not_said(monkeypatch):
    def asked(given, *, is_many, is_elsewhere=False):
        return failing._n_jobs(given, is_many=is_many, is_elsewhere=is_elsewhere)

    # All cores for what takes long, unless a cluster does it or there is nothing to share it out.
    assert (asked(None, is_many=True), asked(None, is_many=False)) == (-1, 1)
    assert asked(None, is_many=True, is_elsewhere=True) == 1
    assert [asked(n, is_many=is_many) for n in (1, 3) for is_many in (True, False)] == [1, 1, 3, 3]
    monkeypatch.setattr(failing.importlib.util, "find_spec", lambda name: None)
    assert asked(None, is_many=True) == 1
