"""Job files: read whole, every error at its place, and of one mind with the schema."""

import copy
import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from fabric.errors import FabricError, QuestionError, TopologyError
from fabric.workload import load_job, parse_job
from fabric.workload.job_file import job_schema, job_schema_text
from fabric.workload.models import model
from fabric.workload.workload import Parallel, bubble

JOBS = sorted((Path(__file__).parents[2] / "topologies" / "jobs").glob("*.job.yaml"))

SPELLED_OUT = {
    "layers": 4, "hidden": 64, "ffn": 128, "heads": 4, "kv_heads": 2, "head_dim": 16, "vocabulary": 1000,
    "matrices": 2, "tied": True, "biases": "all", "qk_norm": False, "positions": 16, "sequence": 16,
    "experts": 4, "top_k": 2, "shared_experts": 1, "expert_ffn": 32, "dense_layers": 1, "groups": 2,
    "group_limit": 1, "q_rank": 8, "kv_rank": 8, "rope_dim": 4, "name": "Small", "note": "none",
}  # fmt: skip
SOUND = {
    "job": "all-keys",
    "about": "Every key.",
    "fabric": "gb300.fabric.yaml",
    "among": ["rack0-3", "rack5"],
    "model": SPELLED_OUT,
    "batch": {"sequences": 64, "micro": 2, "length": 16},
    "parallel": {"tp": 2, "cp": 2, "ep": 4, "pp": 2, "vpp": 2, "dp": 4},
    "order": "(rack slot) -> (dp pp cp tp)",
    "sharding": "zero-3",
    "recompute": "full",
    "precision": {"weights": "bf16", "gradients": "fp32", "activations": "bf16", "dispatch": "fp8",
                  "compute": "fp8"},
    "assume": {"achieved": {"value": 0.4, "source": "a run"}, "overlap": {"tp": 0.5, "dp": {"value": 1}}},
}  # fmt: skip


def changed(*path_and_value):
    """Return SOUND with a value at a path, or without it where the value is None."""
    *path, last, value = path_and_value
    data = copy.deepcopy(SOUND)
    node = data
    for step in path:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return data


def test_all_that_a_file_says():
    job = parse_job(json.dumps(SOUND), "a.job.yaml")
    assert (job.name, job.fabric, job.among) == ("all-keys", "gb300.fabric.yaml", ("rack0-3", "rack5"))
    assert (job.model.name, job.model.experts, job.model.n_parameters > 0) == ("Small", 4, True)
    assert (job.batch.tokens, job.n_micro, job.micro_tokens) == (1024, 8, 32)
    assert job.parallel.n_ranks == 2 * 2 * 2 * 4
    assert (job.sharding, job.recompute, job.precision.dispatch) == ("zero-3", "full", "fp8")
    assert (job.achieved.value, job.achieved.source) == (0.4, "a run")
    assert [job.overlap[d].value for d in ("tp", "cp", "pp", "dp")] == [0.5, 0.0, 1.0, 1.0]
    assert job.overlap["tp"].source == "assumed"


def test_an_order_may_size_what_is_left_of_the_ranks():
    said = changed("parallel", "dp", 0) | {"order": "(rack slot) -> (dp=4 pp cp tp)"}
    assert parse_job(json.dumps(said)).parallel.dp == 0


def test_what_may_be_left_out():
    job = parse_job("{job: small, model: llama3-8b, batch: {sequences: 64, length: 8192}}")
    assert job.model == model("llama3-8b")
    assert (job.parallel, job.sharding, job.precision.dispatch) == (Parallel(), "zero-1", "bf16")


def test_every_error_at_once(tmp_path):
    file = tmp_path / "wrong.job.yaml"
    file.write_text(
        "job: x y\nmodel: lama3-8b\nbatch: {sequence: 64, length: 8192}\nparalel: {tp: 8}\n"
        "parallel: {tp: 0}\nassume: {achieved: 1.4, overlap: {tq: 1}}\n"
    )
    with pytest.raises(TopologyError, match="unknown key") as caught:
        load_job(file)
    found = {(p.line, p.col): (p.what, p.todo) for p in caught.value.problems}
    assert found == {
        (1, 6): (
            "a name starts and ends with a letter or a digit and holds letters, digits and ._- only",
            "",
        ),
        (2, 8): ("no model", "did you mean llama3-8b or llama3-70b or llama3-405b?"),
        (3, 1): ("missing key 'sequences'", ""),
        (3, 9): ("unknown key 'sequence'", "did you mean sequences?"),
        (4, 1): ("unknown key 'paralel'", "did you mean parallel?"),
        (5, 16): ("zero", "must be positive"),
        (6, 20): ("expected a part, from 0 to 1", ""),
        (6, 35): ("unknown key 'tq'", "keys are tp, cp, ep, pp, dp"),
    }


@pytest.mark.parametrize(
    ("path_and_value", "problem"),
    [
        (("parallel", "tp", 3), r"parallel.tp: 3 for 4 heads; choose a divisor of 4"),
        (("parallel", "pp", 4), r"parallel.pp: pp x vpp = 8 chunks of 4 layers; choose fewer"),
        (("parallel", "ep", 3), r"parallel.ep: 3 for 4 experts"),
        (("parallel", "dp", 3), r"batch.sequences: 64 on dp x micro = 6"),
        (("batch", "length", 18), r"batch.length: 18 tokens on cp x tp = 4 ranks; choose a multiple of 4"),
        (("model", "llama3-8b"), r"parallel.ep: Llama 3 8B has no experts"),
        (("model", "top_k", 9), r"model: top_k is 9; expected 1 to 4"),
        (("assume", "achieved", 0), r"assume.achieved: a GPU that computes nothing"),
        (("parallel", "pp", 1), r"parallel.vpp: chunks of one stage"),
        (("sharding", "zero-2"), r"sharding: unknown value; got zero-2; expected none, zero-1 or zero-3"),
        (("batch", None), r"missing key 'batch'"),
        (("order", "dp pp tp xp"), r"^job\.yaml:1:\d+: order: 'xp' is no dimension"),
        (
            ("order", "(rack slot) -> (dp pp cp tp=4)"),
            r"^job\.yaml:1:\d+: order: 'tp=4', and the layout has tp = 2",
        ),
        (("order", "dp tp tp"), r"^job\.yaml:1:\d+: order: tp stands twice"),
        (("precision", "compute", "fp16"), "precision.compute: unknown value"),
        (("among", 7), "among: expected a list"),
    ],
)
def test_breakers(path_and_value, problem):
    with pytest.raises(TopologyError, match=problem):
        parse_job(json.dumps(changed(*path_and_value)))


@pytest.mark.parametrize("text", ["", "[]", "7", "job: [", "{job: a, job: b}", "!!python/none {}", "\0"])
def test_what_is_no_job(text):
    with pytest.raises(FabricError, match=r"^job\.yaml:\d+:\d+: "):
        parse_job(text)


def test_the_schema_is_that_of_the_package_and_valid():
    assert (resources.files("fabric.workload") / "job.schema.json").read_text() == job_schema_text()
    jsonschema.Draft7Validator.check_schema(job_schema())


@pytest.mark.parametrize(
    ("data", "is_sound"),
    [
        (SOUND, True),
        ({"job": "a", "model": "llama3-8b", "batch": {"sequences": 8, "length": 64}}, True),
        (changed("model", "lama3"), False),
        (changed("parallel", "tq", 3), False),
        (changed("sharding", "zero-2"), False),
        (changed("assume", "achieved", 2), False),
        (changed("model", "layers", None), False),
        (changed("model", "row", "llama3-8b"), False),
        (changed("batch", None), False),
    ],
)
def test_the_schema_and_the_reader_agree(data, is_sound):
    assert jsonschema.Draft7Validator(job_schema()).is_valid(data) == is_sound
    try:
        parse_job(json.dumps(data))
        is_read = True
    except TopologyError:
        is_read = False
    assert is_read == is_sound


@pytest.mark.parametrize("file", JOBS, ids=lambda f: f.name.removesuffix(".job.yaml"))
def test_the_jobs_that_come_with_the_package(file):
    job = load_job(file)
    assert job.name == file.name.removesuffix(".job.yaml")
    assert Path(job.fabric).is_file()


def test_ranks_and_replicas():
    job = parse_job(
        "{job: a, model: llama3-8b, batch: {sequences: 64, length: 8192}, parallel: {tp: 8, pp: 2}}"
    )
    assert job.on(64).parallel.dp == 4
    with pytest.raises(QuestionError, match="72 ranks are no whole number of replicas of tp x cp x pp = 16"):
        job.on(72)
    with pytest.raises(QuestionError, match=r"tp x cp x pp x dp = 64 ranks, and 128 endpoints are chosen"):
        job.on(64).on(128)


def test_bubble_of_llama():
    # arXiv 2407.21783: with 16 micro-batches instead of 32 the bubble alone takes 430 TFLOPs to 407, or 389.
    for vpp, tflops in ((8, 407), (4, 389)):
        layout = Parallel(pp=16, vpp=vpp)
        assert round(430 * (1 + bubble(layout, 32)) / (1 + bubble(layout, 16))) == tflops
