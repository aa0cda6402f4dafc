"""What a job file says and a fabric does not have: told where the file says it, all at once."""

from dataclasses import replace

import pytest

from fabric import load_job, load_serving, serve, share, train
from fabric.errors import QuestionError, TopologyError
from fabric.graph import loads

FABRIC = loads(
    "{fabric: a, axes: {rack: 4, slot: 8}, devices: {gpu: {kind: gpu, axes: [rack, slot]}, leaf: {kind: "
    "switch, axes: [rack]}, top: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 400Gb/s}, "
    "{between: [leaf, top], rate: 400Gb/s}]}"
)
"""Of a part that no catalogue has, so that a job has to say the FLOPs."""
HEAD = "job: a\nmodel: llama3-8b\nbatch: {sequences: 64, length: 4096}\n"
PEAK = "assume: {peak: 1000}\n"


def written(tmp_path, text, name="a.job.yaml"):
    file = tmp_path / name
    file.write_text(text)
    return file


def said(error):
    """Return line, column, key and fault of each problem."""
    return [
        (p.line, p.col, p.where, p.what.partition(";")[0].partition(", rack3")[0])
        for p in error.value.problems
    ]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (PEAK + "order: (rak slot) -> (dp)", [(5, 8, "order", "no axis 'rak'")]),
        (
            PEAK + "order: (rack) -> (dp)",
            [(5, 8, "order", "order '(rack) -> (dp)': gpu is placed on rack slot")],
        ),
        ("order: dp", [(1, 1, "assume.peak", "no bf16 FLOPs are known of gpu, which has no part")]),
        (
            PEAK + "among: [rack0/gpu, rack9/gpu, leaf, slot0-3/leaf]",
            [
                (5, 20, "among[1]", "selector 'rack9/gpu' matches nothing: rack9 is beyond the last index"),
                (5, 31, "among[2]", "selector 'leaf' selects leaf, and no endpoint"),
                (5, 37, "among[3]", "selector 'slot0-3/leaf': leaf has no axis slot"),
            ],
        ),
        (PEAK + "among: [rack0/gpu, slot0/gpu]", [(5, 8, "among", "ranks: rack0/gpu0 is listed twice")]),
        (
            "among: [rack0/gpu, rack1/gpu]\norder: (rack slot) -> (dp tp)\nparallel: {tp: 8, dp: 4}",
            [
                (
                    6, 23, "parallel.dp",
                    "tp x cp x pp x dp = 32 ranks, and 16 endpoints are chosen",
                ),
                (
                    5, 8, "order",
                    "ranks of several selectors are numbered as listed: (ranks) -> (...), not (rack slot)",
                ),
                (1, 1, "assume.peak", "no bf16 FLOPs are known of gpu, which has no part"),
            ],
        ),
        (
            PEAK + "parallel: {tp: 32, pp: 3}",
            [(5, 11, "parallel", "32 ranks are no whole number of replicas of tp x cp x pp = 96")],
        ),
        (
            PEAK + "among: rack0-2\nparallel: {tp: 8}",
            [(3, 20, "batch.sequences", "64 on dp x micro = 3")],
        ),
        (PEAK + "order: dp=4 tp\nparallel: {tp: 4}", [(5, 8, "order", "'dp=4', and the layout has dp = 8")]),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_fabric(tmp_path, text, problems):
    file = written(tmp_path, HEAD + text)
    with pytest.raises(TopologyError) as error:  # noqa: PT011
        train(file, FABRIC)
    assert said(error) == sorted(problems)
    assert {p.path for p in error.value.problems} == {str(file)}


@pytest.mark.parametrize("sizes", ["dp: 2", "dp: 0"])
def test_experts_that_straddle(tmp_path, sizes):
    # 8 experts over tp = 4 leave 2, which neither divide cp = 3 nor are divided by it.
    text = "job: a\nmodel: mixtral-8x7b\nbatch: {sequences: 64, length: 4800}\n" + PEAK
    layout = f"among: rack0-2\nparallel: {{tp: 4, cp: 3, ep: 8, {sizes}}}\norder: dp cp tp\n"
    with pytest.raises(TopologyError) as error:  # noqa: PT011
        train(written(tmp_path, text + layout), FABRIC)
    assert said(error) == [(7, 8, "order", "ep = 8 straddles cp = 3 in the order dp cp tp")]


def test_what_the_caller_says_instead_stands_in_no_file(tmp_path):
    work = replace(load_job(written(tmp_path, HEAD + PEAK + "order: dp")), order="(rak) -> (dp)")
    with pytest.raises(QuestionError, match="^job a: order: no axis 'rak'"):
        train(work, FABRIC)
    file = written(tmp_path, HEAD + PEAK + "parallel: {dp: 16}")
    with pytest.raises(QuestionError) as error:  # noqa: PT011
        train(file, FABRIC, order="(rak) -> (dp)")
    first, second = str(error.value).splitlines()
    assert first.startswith("job a: order: no axis 'rak'")
    assert second.startswith(f"{file}:5:16: parallel.dp: ")


def test_a_fabric_that_is_not_there(tmp_path):
    file = written(tmp_path, HEAD + PEAK + "fabric: none.fabric.yaml")
    with pytest.raises(TopologyError, match=r"a.job.yaml:5:9: fabric: no file .*none.fabric.yaml"):
        train(file)


def test_all_jobs_that_share_are_told(tmp_path):
    one = written(tmp_path, HEAD + PEAK + "order: (rak slot) -> (dp)", "one.job.yaml")
    two = written(tmp_path, HEAD + PEAK + "among: rack1\nparallel: {tp: 16}", "two.job.yaml")
    with pytest.raises(TopologyError) as error:  # noqa: PT011
        share(FABRIC, [f"one=rack0:{one}", f"two={two}"])
    assert [p.path for p in error.value.problems] == [str(one), str(two)]
    assert [(line, where) for line, _, where, _ in said(error)] == [(5, "order"), (6, "parallel")]


def test_pools(tmp_path):
    pools = "prefill: {among: top}\ndecode: {among: rack0, tp: 9}"
    text = f"serve: s\nmodel: llama3-8b\nrequest: {{prompt: 64}}\n{pools}"
    file = written(tmp_path, text, "s.serve.yaml")
    with pytest.raises(TopologyError) as error:  # noqa: PT011
        serve(load_serving(file), FABRIC)
    assert said(error) == [
        (4, 18, "prefill.among", "selector 'top' selects top, and no endpoint"),
        (5, 28, "decode.tp", "'rack0' is 8 endpoints that are up"),
    ]
