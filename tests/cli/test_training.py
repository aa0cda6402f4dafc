"""The command about training, as a user runs it."""

import json
from pathlib import Path

import pytest

from tests.cli.command import run

JOB = Path(__file__).parents[2] / "topologies" / "jobs" / "qwen3-8b-small.job.yaml"
BOXES = "{fabric: boxes, islands: 2, include: {fabric: hgx-h100, over: {node: 2}}}"


def test_text_markdown_and_json_say_the_same(tmp_path):
    figure = tmp_path / "heat.svg"
    text, page = run("train", JOB, "--figure", figure), run("train", JOB, "--format", "md")
    answer = json.loads(run("train", JOB, "--json").out)
    assert (text.status, text.err, page.status) == (0, "", 0)
    assert answer["n_ranks"] == 16
    assert [d["group"] for d in answer["dimensions"]] == ["tp", "dp"]
    assert answer["compute_s"] + answer["bubble_s"] + answer["exposed_s"] == pytest.approx(answer["step_s"])
    for done in (text, page):
        assert f"{answer['tokens_per_s']:,.0f} tokens/s" in " ".join(done.out.split())
    assert "<svg" in figure.read_text()
    again = run("train", JOB, "--figure", figure)
    assert (again.status, again.out) == (2, "")
    assert "heat.svg" in again.err
    assert run("train", JOB, "--figure", figure, "--force").status == 0


def test_all_orders(tmp_path):
    orders = json.loads(run("train", JOB, "--order", "all", "--json").out)["orders"]
    assert [o["order"] for o in orders] == ["dp tp", "tp dp"]
    assert orders[0]["step_s"] <= orders[1]["step_s"]


def test_a_job_from_standard_input_on_a_fabric_that_is_named(tmp_path):
    file = tmp_path / "boxes.fabric.yaml"
    file.write_text(BOXES)
    job = b"{job: a, model: llama3-8b, batch: {sequences: 16, length: 8192}, parallel: {tp: 8}, among: node0}"
    done = run("train", "-", file, piped=job)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("a: a step of Llama 3 8B on 8 h100_sxm5 of boxes takes ")


@pytest.mark.parametrize(
    ("arguments", "job", "message"),
    [
        (("-",), b"{job: a, model: llama3-8b, batch: {sequences: 1, length: 8}}", "job a names no fabric"),
        (("-",), b"{job: a, modell: llama3-8b}", "<stdin>:1:10: modell: unknown key 'modell'; did you"),
        (("-", "-"), b"", "standard input, -, can be read once"),
        (("none.job.yaml",), b"", "none.job.yaml"),
        ((JOB, "--format", "pdf"), b"", "format: text, md or json; got 'pdf'"),
        ((JOB, "--routing", "ideal"), b"", "--routing"),
        ((JOB, "--order", "xp"), b"", "order: 'xp' is no dimension"),
        ((JOB, "--failed", "rack0/tray0/gpu0"), b"", "15 ranks are no whole number of replicas"),
    ],
)  # fmt: skip
def test_errors_are_one_message_and_status_2(arguments, job, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("train", *arguments, piped=job)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err
