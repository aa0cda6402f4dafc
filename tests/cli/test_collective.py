"""The commands about collectives: every option, the documented keys, exit statuses, one clear error."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from fabric import graph
from fabric.cli import app as command_line
from fabric.costing import calibration
from fabric.interop.nccl_tests import read_log

ROOT = Path(__file__).parents[2]
LOG = str(ROOT / "tests/interop/data/coreweave-h100.log")
CLUSTER = str(ROOT / "topologies/measured/h100-12-node.fabric.yaml")
BOX = str(ROOT / "topologies/measured/nd-h100-v5.fabric.yaml")
EXPERTS = "tokens=4096,hidden=7168,top_k=8,experts=256,bytes=1"
SMALL = """
fabric: small
axes: {rack: 2, slot: 4, spine: 2}
devices:
  gpu:   {kind: gpu, axes: [rack, slot]}
  leaf:  {kind: switch, axes: [rack]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s, each: [1, 4]}
  - {between: [leaf, spine], rate: 400Gb/s, each: [2, 2]}
"""


class Done(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command in this process, in a folder with small.fabric.yaml, and return what came of it."""
    (tmp_path / "small.fabric.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["fabtopo", *map(str, arguments)])
        with pytest.raises(SystemExit, match=r"^\d+$") as stop:
            command_line.main()
        return Done(stop.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def answer(run):
    """Return the JSON that a question is answered with."""

    def call(*arguments):
        done = run(*arguments, "--json")
        assert (done.status, done.err) == (0, "")
        return json.loads(done.out)

    return call


WIRE = ("--calibration", "wire")
COST = ("cost", "small.fabric.yaml", "--collective", "all-to-all", *WIRE, "--size", "1GB")


# Documented keys


def keys(text):
    """Return the keys of a cell of the manual, each with what stands in brackets behind it."""
    found, depth, last, start = {}, 0, "", 0
    for match in re.finditer(r"`([a-z_]+)`|[\[{(]|[\])}]", text):
        if match[1]:
            last = match[1] if depth == 0 else last
            found.setdefault(last, "")
        elif match[0] in "[{(":
            start = match.end() if depth == 0 else start
            depth += 1
        else:
            depth -= 1
            if depth == 0 and last:
                found[last] = text[start : match.start()].removeprefix("{").removesuffix("}")
    return found


ROWS = {
    cells[0].removeprefix("| "): cells[2]
    for line in (ROOT / "docs/cli.md").read_text().splitlines()
    if line.startswith("| `") and len(cells := line.removesuffix(" |").split(" | ")) == 3
}


def documented(start):
    """Return the cell with the keys of the command that starts so."""
    (cell,) = (cell for command, cell in ROWS.items() if command.startswith(f"`{start}"))
    return cell


def test_the_manual_is_parsed():
    assert keys("`a`, `b` [{`c`, `d` {`e`}}], `f` (`g` or null), `h`") == {
        "a": "", "b": "`c`, `d` {`e`}", "f": "`g` or null", "h": "",
    }  # fmt: skip
    assert len(ROWS) >= 14


def test_keys_of_cost(answer):
    found = answer(*COST, "--algorithm", "all", "--routing", "hashed")
    cell = keys(documented("cost FILE --collective C"))
    assert set(found) == set(cell)
    assert set(found["refused"][0]) == set(keys(cell["refused"]))
    chosen = keys(cell["chosen"])
    assert set(found["chosen"]) == set(chosen)
    for key in ("slack", "spread"):
        assert found["chosen"][key], key
        assert set(found["chosen"][key][0]) == set(keys(chosen[key]))
    assert set(found["bound"]) == set(keys(documented("bound FILE --collective C")))
    assert found["chosen"] == found["algorithms"][0]
    assert all(
        found[key] == found["chosen"][key] for key in ("time_s", "algbw_gbps", "busbw_gbps", "binding")
    )
    assert answer(*COST, "--ranks", "rack0")["bound"] is None


def test_keys_of_a_table(answer):
    found = answer(*COST[:-1], "1MiB..4MiB", "--threshold", "0.8")
    assert set(found) == set(keys(documented("cost FILE --size 1KiB..16GiB")))
    wanted = set(keys(documented("cost FILE --collective C")))
    assert [set(row) for row in found["costs"]] == [wanted] * 3
    assert found["pass_gbps"][0] == pytest.approx(0.8 * found["costs"][0]["busbw_gbps"])


@pytest.mark.parametrize("way", ["dispatch", "combine"])
def test_keys_of_a_mixture_of_experts(answer, way):
    found = answer("cost", CLUSTER, "--collective", way, "--moe", EXPERTS, "--among", "node0-7")
    assert set(found) == set(keys(documented("cost FILE --collective C")))
    assert (found["collective"], found["n_ranks"], found["bound"]) == (way, 64, None)


def test_keys_of_compare(answer):
    found = answer("compare", LOG, CLUSTER)
    cell = keys(documented("compare LOG FILE"))
    assert set(found) == set(cell) == {"runs"}
    (one,) = found["runs"]
    run_keys = keys(cell["runs"])
    assert set(one) == set(run_keys)
    assert set(one["diagnosis"]) == set(keys(run_keys["diagnosis"]))
    assert set(one["rows"][0]) == set(keys(run_keys["rows"]))


def test_keys_of_calibrate(answer):
    found = answer("calibrate", LOG, "--on", CLUSTER)
    assert set(found) == set(keys(documented("calibrate LOG...")))
    assert found["file"] == ""


def test_keys_of_bound(answer):
    found = answer("bound", "small.fabric.yaml", "--collective", "all-gather", "--size", "1GB")
    assert set(found) == set(keys(documented("bound FILE --collective C")))


COMMANDS = typer.main.get_command(command_line.app).commands


@pytest.mark.parametrize("text", ROWS, ids=lambda text: text.split()[0].strip("`") + str(len(text)))
def test_options_of_the_manual_exist(text):
    name = text.split()[0].strip("`")
    known = {o for p in COMMANDS[name].params for o in (*p.opts, *p.secondary_opts)}
    assert set(re.findall(r"(?<![a-z-])--?[a-z][a-z-]*", text)) <= known


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(run, name):
    done = run(name, "--help")
    assert (done.status, done.err) == (0, "")
    assert f"fabtopo {name} [OPTIONS]" in done.out
    assert all(p.help for p in COMMANDS[name].params if p.name != "help")


def test_help_is_light():
    program = "import sys, contextlib\nfrom fabric.cli import main\n"
    program += f"for name in {list(COMMANDS)!r}:\n    sys.argv = ['fabtopo', name, '--help']\n"
    program += "    with contextlib.suppress(SystemExit): main()\n"
    program += "heavy = {'scipy', 'matplotlib', 'networkx'} & set(sys.modules)\nassert not heavy, heavy\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# Which ranks, and how they are routed


@pytest.mark.some(8)
@pytest.mark.parametrize(
    ("options", "n_ranks", "n_instances", "time_s"),
    [
        # Of the buffer of each of 4 GPUs a half goes to the other rack, over 2 x 400 Gb/s.
        ([], 8, 1, 0.02),
        (["--among", "rack0"], 4, 1, 0.015),
        (["--over", "slot"], 4, 2, 0.015),
        (["--over", "rack"], 2, 4, 0.02),
        (["--over", "rack,slot"], 8, 1, 0.02),
        (["--over", "rack", "--among", "slot0-1"], 2, 2, 0.01),
        (["--order", "(rack slot) -> (dp tp=4)", "--over", "tp"], 4, 2, 0.015),
        (["--order", "(rack slot) -> (dp tp=4)", "--over", "dp"], 2, 4, 0.02),
        (["--order", "(slot rack) -> (dp tp=2)", "--over", "tp"], 2, 4, 0.02),
        (["--order", "(rack slot) -> (dp tp=2)", "--over", "tp"], 2, 4, 0.01),
        (["--ranks", "rack0/gpu0,rack1/gpu0"], 2, 1, 0.01),
        (["--ranks", "rack0, rack1/gpu0-3"], 8, 1, 0.02),
        (["--routing", "ideal"], 8, 1, 0.02),
        (["--routing", "rail"], 8, 1, 0.02),
        (["--routing", "rail-direct"], 8, 1, 0.02),
        (["--routing", "adaptive"], 8, 1, 0.02 / 0.95),
        (["--routing", "adaptive", "--spraying", "multi-plane"], 8, 1, 0.02 / 0.98),
        (["--routing", "adaptive", "--spraying", "0.5"], 8, 1, 0.04),
        (["--reduces", "none"], 8, 1, 0.02),
        (["--algorithm", "bruck"], 8, 1, 0.04),
    ],
    ids=lambda value: "-".join(value).replace(" ", "") if isinstance(value, list) else "",
)
def test_every_choice_of_ranks_and_routes(answer, options, n_ranks, n_instances, time_s):
    found = answer(*COST, *options)
    assert (found["n_ranks"], found["n_instances"]) == (n_ranks, n_instances)
    assert found["time_s"] == pytest.approx(time_s, rel=1e-6)


def test_hashed_flows_are_spread(answer):
    """More queue pairs come nearer to the equal split, and the median lies below the slow tail."""
    one, many = (answer(*COST, "--routing", "hashed", "--queue-pairs", n) for n in (1, 64))
    assert one["time_s"] > many["time_s"] > 0.02
    half, most = one["chosen"]["spread"]
    assert (half["of"], most["of"]) == ("p50", "p99")
    assert half["time_s"] < most["time_s"]


def test_sums_in_switches_are_asked_for(answer):
    asked = ("cost", BOX, "--collective", "all-reduce", "--size", "1GiB", "--algorithm", "all")
    inside, none = answer(*asked), answer(*asked, "--reduces", "none")
    assert "nvls" in {row["algorithm"] for row in inside["algorithms"]}
    assert "nvls" in {row["algorithm"] for row in none["refused"]}
    assert inside["bound"]["busbw_gbps"] > none["bound"]["busbw_gbps"]


def test_calibrations_by_name_and_by_file(answer, tmp_path):
    wire, measured, nccl = (
        answer("cost", BOX, "--collective", "all-reduce", "--calibration", name)
        for name in ("wire", "measured", "nccl")
    )
    assert wire["chosen"]["latency_s"] == 0 < measured["chosen"]["latency_s"]
    assert [a["calibration"] for a in (wire, measured, nccl)] == ["wire", "measured", "nccl"]
    assert any("NVLS" in note or "nvls" in note for note in nccl["notes"])
    (tmp_path / "half.yaml").write_text(
        "{calibration: half, source: s, date: 2026-01-31, links: {gpu-leaf: {copy: {rate: 0.5}}}}"
    )
    half = answer("cost", "small.fabric.yaml", "--collective", "all-gather", "--calibration", "half.yaml")
    full = answer("cost", "small.fabric.yaml", "--collective", "all-gather", *WIRE)
    assert (half["calibration"], half["time_s"]) == ("half", pytest.approx(2 * full["time_s"]))


def test_a_table_is_a_log(run, tmp_path):
    """What `cost` prints for a range of sizes is read, compared and fitted like a measured log."""
    asked = ("cost", BOX, "--collective", "all-gather", "--size", "1MiB..1GiB", "--factor", "8")
    table = run(*asked, "--calibration", "measured")
    (tmp_path / "made.log").write_text(table.out)
    (log,) = read_log("made.log")
    assert [row.size_bytes for row in log.rows] == [2**20, 2**23, 2**26, 2**29]
    done = run("compare", "made.log", BOX)
    assert (done.status, done.err) == (0, "")
    said = "4 of 4 sizes reach what healthy runs reached of the predicted busbw\nagrees, within 5 %\n"
    assert said in done.out


@pytest.mark.slow
def test_logs_of_the_manual_are_fitted_and_compared(run, tmp_path):
    """The commands of docs/collectives.md, in their order, on logs that the program itself prints."""
    text = (ROOT / "docs/collectives.md").read_text()
    (block,) = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.fabric.yaml").write_text(Path(BOX).read_text())
    for collective in ("all-reduce", "all-to-all"):
        asked = ("cost", BOX, "--collective", collective, "--size", "1KiB..1GiB", "--calibration", "measured")
        (tmp_path / f"{collective.replace('-', '_')}.log").write_text(run(*asked).out)
    for line in block.splitlines():
        done = run(*line.split()[1:])
        assert (done.status, done.err) == (0, ""), line
    assert "agrees" in done.out


def test_a_mixture_of_experts(answer):
    asked = ("cost", CLUSTER, *WIRE, "--collective", "dispatch", "--among", "node0-7", "--moe")
    free, bound = answer(*asked, EXPERTS), answer(*asked, f"{EXPERTS},groups=8,max_groups=4")
    assert "5.295 domains and 7.676 ranks" in free["notes"][0]
    assert "3.629 domains and 7.359 ranks" in bound["notes"][0]
    assert bound["time_s"] < free["time_s"]
    assert answer(*asked, EXPERTS.replace("bytes=1", "bytes=2"))["time_s"] == pytest.approx(
        2 * free["time_s"],
        rel=0.02,  # but for latency
    )
    assert answer(*asked, EXPERTS, "--algorithm", "pairwise")["chosen"]["algorithm"] == "pairwise"


# Logs


def test_compare_says_by_its_status_whether_the_model_is_reached(run):
    assert run("compare", LOG, CLUSTER).status == 0
    done = run("compare", LOG, CLUSTER, "--threshold", "1.2")
    assert (done.status, done.err) == (1, "")
    assert "0 of 5 sizes reach 1.2" in done.out
    done = run("compare", LOG, CLUSTER, "--threshold", "1.2", "--json")
    assert (done.status, json.loads(done.out)["runs"][0]["is_passed"]) == (1, False)


def test_compare_with_options(answer, run):
    runs = answer("compare", LOG, CLUSTER, "--calibration", "nccl", "--routing", "rail")["runs"]
    assert len(runs) == 1
    log = ROOT / "tests/interop/data/superbench-allgather.log"
    assert run("compare", log, BOX, "--threshold", "0.01").status == 2
    found = answer("compare", log, BOX, "--collective", "all-gather", "--threshold", "0.01", "--in-place")
    assert found["runs"][0]["collective"] == "all-gather"


def test_calibrate_writes_what_cost_reads(run, answer, tmp_path):
    done = run("calibrate", LOG, "--on", CLUSTER, "--name", "mine", "-o", "mine.yaml")
    assert (done.status, done.err) == (0, "")
    assert "scale-out, copy: 98.22 % of the wire rate" in done.out
    assert done.out.endswith("wrote mine.yaml\n")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["mine.yaml", "small.fabric.yaml"]
    assert calibration("mine.yaml").name == "mine"
    found = answer(
        "cost", CLUSTER, "--collective", "all-reduce", "--size", "8GiB", "--calibration", "mine.yaml"
    )
    assert found["calibration"] == "mine"
    assert found["busbw_gbps"] / 8 == pytest.approx(386.56, rel=0.03)


def test_calibrate_prints_the_file_and_beside_it_what_it_found(run, tmp_path):
    done = run("calibrate", LOG, "--on", CLUSTER, "--algorithm", "ring")
    assert done.status == 0
    (tmp_path / "printed.yaml").write_text(done.out)
    assert calibration("printed.yaml").name == "fitted"
    assert "5 rows; differences: median" in done.err


def test_calibrate_replaces_a_file_whole(run, tmp_path):
    (tmp_path / "mine.yaml").write_text("x" * 100_000)
    (tmp_path / "mine.yaml").chmod(0o640)
    done = run("calibrate", LOG, "--on", CLUSTER, "-o", "mine.yaml")
    assert (done.status, done.err) == (
        2,
        "mine.yaml: is there already; say --force to replace it, or name another\n",
    )
    assert run("calibrate", LOG, "--on", CLUSTER, "-o", "mine.yaml", "--force").status == 0
    assert calibration("mine.yaml").name == "fitted"
    assert (tmp_path / "mine.yaml").stat().st_mode & 0o777 == 0o640


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("none/mine.yaml", r"^none/mine\.yaml: cannot be written: No such file or directory\n$"),
        ("small.fabric.yaml/mine.yaml", r"mine\.yaml: cannot be written: Not a directory"),
        ("folder", r"^folder: is a directory, not a file\n$"),
        (".", r"^\.: is a directory, not a file\n$"),
    ],
)
def test_what_cannot_be_written_leaves_nothing_behind(run, tmp_path, out, message):
    (tmp_path / "folder").mkdir()
    done = run("calibrate", LOG, "--on", CLUSTER, "-o", out)
    assert (done.status, done.out) == (2, "")
    assert re.search(message, done.err)
    assert sorted(f.name for f in tmp_path.rglob("*")) == ["folder", "small.fabric.yaml"]


# Errors

ERRORS = [
    (["cost", "small.fabric.yaml", "--collective", "gossip"], r"unknown collective 'gossip'; known are"),
    (["cost", "small.fabric.yaml", "--collective", "dispatch"], r"moe: tokens, hidden, top_k, .* missing"),
    (["cost", "none.yaml", "--collective", "all-reduce"], r"none\.yaml:1:1: file: file not found"),
    ([*COST, "--algorithm", "rng"], r"no algorithm 'rng' for all-to-all; known are auto, all, pairwise"),
    ([*COST, "--algorithm", "pxn"], r"pxn cannot run: needs several scale-up domains"),
    ([*COST, "--over", "slots"], r"over: no axis 'slots'; did you mean slot\?"),
    ([*COST, "--among", "rack7"], r"rack7"),
    ([*COST, "--ranks", "rack0,leaf0"], r"leaf0 is no endpoint"),
    ([*COST, "--ranks", "rack0,rack0/gpu1"], r"rack0/gpu1 is listed twice"),
    ([*COST, "--ranks", "rack0/gpu0"], r"needs at least 2 ranks; the job has 1"),
    ([*COST, "--ranks", "rack0", "--over", "slot"], r"leave over, among and order out"),
    ([*COST, "--order", "rack slot"], r"order 'rack slot': expected such as '\(pod rack"),
    ([*COST, "--order", "(rack slot) -> (dp tp=3)"], r"8 ranks on the left, 3 on the right"),
    ([*COST, "--routing", "ecpm"], r"routing: got 'ecpm'; .*did you mean ecmp\?"),
    ([*COST, "--routing", "hashed", "--queue-pairs", "0"], r"queue pairs: from 1 to 4,096; got 0"),
    ([*COST, "--routing", "adaptive", "--spraying", "nan"], r"spraying: got nan; expected text or a finite"),
    ([*COST, "--routing", "adaptive", "--spraying", "best"], r"unknown adaptive routing 'best'"),
    ([*COST, "--reduces", "nvlink"], r"reduces: got 'nvlink'; expected scale-up or scale-out"),
    ([*COST, "--calibration", "mesured"], r"no calibration 'mesured'; did you mean measured\?"),
    ([*COST, "--calibration", "small.fabric.yaml"], r"small\.fabric\.yaml:2:1: fabric: unknown key 'fabric'"),
    ([*COST[:-2], "--size", "1 gib"], r"did you mean"),
    ([*COST[:-2], "--size", "4KiB..1KiB"], r"from the smallest up"),
    ([*COST[:-2], "--size", "1KiB..1MiB", "--factor", "1"], r"factor of 2 or more; got 1"),
    ([*COST[:-2], "--size", "1KiB..1MiB", "--threshold", "0"], r"threshold: above 0"),
    ([*COST, "--factor", "two"], r"Invalid value for '--factor'"),
    ([*COST, "--colective", "x"], r"No such option"),
    (["cost", "small.fabric.yaml"], r"Missing option '--collective'"),
    ([*COST, "--moe", EXPERTS], r"--size: says something of what is no mixture of experts"),
    ([*COST[:-2], "--moe", EXPERTS], r"a mixture of experts has dispatch and combine; got 'all-to-all'"),
    (["compare", LOG, "small.fabric.yaml"], r"h100\.log: 96 ranks by its numbers; the question has 8"),
    (["compare", "none.log", "small.fabric.yaml"], r"none\.log: file not found"),
    (["compare", "small.fabric.yaml", "small.fabric.yaml"], r"small\.fabric\.yaml: "),
    (["compare", LOG, CLUSTER, "--threshold", "nan"], r"threshold nan: must be positive"),
    (["compare", LOG, CLUSTER, "--collective", "gossip"], r"no collective 'gossip'"),
    (["calibrate", LOG, "--on", BOX], r"96 ranks .*; the question has 8; choose with --among\n?$"),
    (["calibrate", LOG], r"Missing option '--on'"),
    (["calibrate", LOG, "--on", CLUSTER, "--algorithm", "rign"], r"did you mean ring"),
    (["bound", "small.fabric.yaml", "--collective", "all-gather", "--kind", "tub"], r"tub"),
] + [
    (["cost", CLUSTER, "--collective", "dispatch", "--among", "node0-7", "--moe", text], message)
    for text, message in (
        ("tokens=1", r"moe: hidden, top_k, experts, bytes missing; write such as tokens=4096"),
        (EXPERTS.replace("4096", "many"), r"moe: 'tokens=many' is not one of tokens, hidden"),
        (EXPERTS.replace("4096", "0"), r"'tokens=0' is not one of .* with a positive number"),
        (EXPERTS.replace("4096", "-1"), r"'tokens=-1' is not"),
        (EXPERTS.replace("bytes=1", "bytes=nan"), r"'bytes=nan' is not"),
        (EXPERTS.replace("bytes=1", "bytes=inf"), r"'bytes=inf' is not"),
        (EXPERTS.replace("top_k=8", "topk=8"), r"'topk=8' is not"),
        (EXPERTS.replace("=8,", "=300,"), r"chooses 1 to 256 of 256 experts"),
        (EXPERTS.replace("256", "100"), r"100 experts do not lie evenly on 64 ranks"),
    )
]  # fmt: skip


@pytest.mark.some(16)
@pytest.mark.parametrize(("arguments", "message"), ERRORS, ids=lambda value: "")
def test_errors_are_one_message_and_status_2(run, arguments, message):
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert re.search(message, " ".join(done.err.split()) if "Usage:" in done.err else done.err), done.err
    assert "Traceback" not in done.err
    as_json = run(*arguments, "--json")
    assert (as_json.status, as_json.err) == (2, "")
    found = json.loads(as_json.out)
    assert set(found) == {"status", "message", "problems"}
    assert re.search(message, found["message"])


def test_an_interrupt_is_no_traceback(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(graph, "load", interrupted)
    for arguments in (COST, (*COST, "--json")):
        done = run(*arguments)
        assert done.status in (1, 130)
        assert "Traceback" not in done.err


def test_keys_of_a_bound_by_chunks(answer):
    found = answer(
        "bound", "small.fabric.yaml", "--kind", "chunks", "--collective", "all-gather", "--latency", "1us"
    )
    assert set(found) == set(keys(documented("bound FILE --kind chunks")))
    assert found["time_s"] > found["ports_s"] * 0.999


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--queue-pairs", "4"), "--queue-pairs: says something of hashed routing alone"),
        (("--queue-pairs", "4", "--routing", "adaptive"), "--queue-pairs: says something of hashed routing"),
        (("--spraying", "0.5"), "--spraying: says something of adaptive routing alone"),
        (("--spraying", "0.5", "--routing", "hashed"), "--spraying: says something of adaptive routing"),
        (
            ("--spraying", "0.5", "--routing", "adaptive", "--calibration", "nccl"),
            "--spraying: says something of adaptive routing alone",
        ),
        (("--factor", "4"), "--factor: says something of a range of sizes"),
        (("--threshold", "0.5"), "--threshold: says something of a range of sizes"),
    ],
)
def test_no_option_is_taken_and_not_counted(run, arguments, message):
    done = run("cost", "small.fabric.yaml", "--collective", "all-reduce", *arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(message)
    assert done.err.endswith("which is not asked for; leave it out\n")


def test_a_mixture_of_experts_says_its_size_and_says_it_once(run):
    experts = ("cost", BOX, "--collective", "dispatch", "--moe")
    assert "--size: says something" in run(*experts, EXPERTS, "--size", "1MiB").err
    assert "moe: tokens stands twice" in run(*experts, f"{EXPERTS},tokens=1").err


def test_an_argument_with_another_name_is_named_as_the_option(run):
    assert run("throughput", "small.fabric.yaml", "--traffic", "none").err.startswith("--traffic: got 'none'")
