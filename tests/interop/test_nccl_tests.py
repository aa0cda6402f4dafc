"""Logs of nccl-tests: real layouts, the numbers in them, and what is refused."""

import contextlib
import json
import math
import random
import re
from pathlib import Path

import pytest

from fabric.errors import LogError, QuestionError
from fabric.interop.nccl_log import KINDS, Log, LoggedTiming, LogRow, Rank, kind_of, predicted_row
from fabric.interop.nccl_ranks import Digits, rank_bounds, read_printed
from fabric.interop.nccl_tests import MAX_LINE, format_log, format_rows, parse_log, read_log
from fabric.schedule import COLLECTIVES, busbw_factor

DATA = Path(__file__).parent / "data"
HEAD = (
    "# Collective test starting: all_reduce_perf\n"
    "#       size         count      type   redop    root     time   algbw   busbw #wrong"
    "     time   algbw   busbw #wrong\n"
)
GOOD = (
    "  8589934592    2147483648     float     sum      -1    43980  195.31  386.56      0"
    "    44094  194.81  385.56      0"
)
SMALL = (
    "   536870912     134217728     float     sum      -1   2984.6  179.88  356.01      0"
    "   2979.7  180.18  356.60      0"
)


def busbw(*values):
    """Return the log of one row with other busbw, out of place first."""
    text = GOOD
    for old, new in zip(("386.56", "385.56"), values, strict=False):
        text = text.replace(old, new)
    return HEAD + text


def n_hosts(log):
    """Return the hosts in the list of devices; None without one."""
    return len({rank.host for rank in log.ranks}) or None


@pytest.mark.parametrize(
    ("file", "stated", "expected"),
    [
        ("coreweave-h100", None, [("all-reduce", 96, 5, None)]),
        ("coreweave-gb200", None, [("all-reduce", 1440, 6, 1)]),
        ("cscs-gh200", None, [("all-reduce", 8, 25, 2)]),
        ("alltoall-2.18", None, [("all-to-all", 16, 6, 2)]),
        ("superbench-allgather", "all-gather", [("all-gather", 8, 3, 1)]),
        ("superbench-a100", None, [("all-reduce", 8, 2, 1), ("reduce", 8, 2, 1), ("broadcast", 8, 2, 1)]),
        ("aws-labels", None, [("scatter", 16, 3, None), ("all-reduce", 16, 3, None)]),
        ("nccl-2.4", None, [("all-reduce", 2, 3, 2)]),
        ("intel-mpi", None, [("all-reduce", 24, 4, None)]),
    ],
)
def test_real_logs(file, stated, expected):
    logs = read_log(DATA / f"{file}.log", collective=stated)
    assert [(log.collective, log.n_ranks, len(log.rows), n_hosts(log)) for log in logs] == expected
    for log in logs:
        text = format_log(log)
        (again,) = parse_log(text)
        assert again == log
        assert format_log(again) == text


def test_numbers_of_a_real_log():
    (log,) = read_log(DATA / "cscs-gh200.log")
    row = log.rows[-1]
    assert (row.size_bytes, row.count, row.dtype, row.redop, row.root) == (2**27, 2**25, "float", "sum", -1)
    assert row.out_of_place == LoggedTiming(1916.4e-6, 70.04 * 8, 122.57 * 8, 0)
    assert row.in_place == LoggedTiming(1907.8e-6, 70.35 * 8, 123.11 * 8, 0)
    assert log.gpus == ("NVIDIA GH200 120GB",)
    assert log.ranks[4] == Rank(4, 0, 155254, "nid005487", 0, "0009:01:00", "NVIDIA GH200 120GB")
    assert log.remarks == ()


def test_times_of_old_versions_are_milliseconds():
    (log,) = read_log(DATA / "nccl-2.4.log")
    assert log.rows[0].out_of_place.time_s == 2059e-6
    assert [r.rank for r in log.ranks] == [0, 1]


def test_missing_rows_are_remarked_upon():
    (log,) = read_log(DATA / "alltoall-2.18.log")
    assert re.search(
        "line 23: the average busbw is printed as 8.9909 GB/s .* rows are missing", log.remarks[0]
    )


def test_header_that_contradicts_the_rows_is_not_believed():
    text = (DATA / "coreweave-h100.log").read_text()
    rank = "#  Rank 63 Group  0 Pid  21082 on worker-7 device  7 [0x01] NVIDIA H100 80GB HBM3"
    (log,) = parse_log(text.replace("...", rank))
    assert log.n_ranks == 96
    assert log.remarks == ("the header says 64 ranks; the rows say 96, which is believed",)
    (log,) = parse_log(text.replace("...", rank.replace("63", "95")))
    assert (log.n_ranks, log.remarks) == (96, ())


def test_groups_count_apart():
    ranks = [f"#  Rank {r:2d} Group {r % 2:2d} Pid 1 on a device {r} [0x01] NVIDIA H100" for r in range(192)]
    (log,) = parse_log("\n".join(ranks) + "\n" + HEAD + GOOD)
    assert (log.n_ranks, log.remarks) == (96, ())


@pytest.mark.some(16)
@pytest.mark.parametrize("n", [2, 3, 8, 64, 72, 96, 512])
@pytest.mark.parametrize("collective", [k for k, kind in KINDS.items() if kind.scale])
def test_rank_count_is_that_of_the_rows(collective, n):
    rng = random.Random(n)
    kind = kind_of(collective)
    rows = []
    for k in range(20, 34):
        seconds = 1e-5 + 2**k / (rng.uniform(200, 900) * 1e9)
        rows.append(predicted_row(collective, 2**k // n * n * 4, seconds, n_ranks=n))
    text = format_rows(rows)
    (log,) = parse_log(text, collective=collective)
    assert log.n_ranks == n or (log.n_ranks is None and not kind.is_scattered and n > 100)
    if log.n_ranks is None:
        low, high = map(int, re.search("say ([0-9]+) to ([0-9]+)", log.remarks[0]).groups())
        assert low <= n <= high


def test_bounds_hold_the_ranks_that_were_printed():
    rng = random.Random(7)
    for _ in range(300):
        n, algbw = rng.randint(2, 3000), rng.uniform(0.001, 900)
        kind = rng.choice(list(KINDS.values()))
        rates = [read_printed(f"{rate:.2f}") for rate in (algbw, algbw * kind.factor(n))]
        low, high = rank_bounds("a", [Digits(1, 1, read_printed("1"), *rates)], kind)
        assert low <= n
        assert high is None or n <= high


@pytest.mark.some(10)
@pytest.mark.parametrize("n", [2, 5, 1024])
@pytest.mark.parametrize("collective", COLLECTIVES)
def test_factors_are_those_of_the_costs(collective, n):
    assert kind_of(collective).factor(n) == pytest.approx(busbw_factor(collective, n), rel=1e-15)


def test_the_collective_may_follow_from_the_rows_alone():
    def read(collective, n):
        rows = [predicted_row(collective, 2**k * 60, 2**k * 60 / 2e11, n_ranks=n) for k in (22, 24, 28)]
        return parse_log(format_rows(rows))[0].collective

    for collective in ("all-reduce", "reduce-scatter", "broadcast", "reduce"):
        assert read(collective, 5) == collective
    with pytest.raises(
        LogError, match="<text>:4: .*it may be all-gather, all-to-all; .*say which collective"
    ):
        read("all-gather", 5)
    with pytest.raises(LogError, match="it may be gather, scatter"):
        read("gather", 5)
    # Two ranks reduce at the rate at which they would send.
    with pytest.raises(LogError, match="it may be all-reduce, send-recv"):
        read("all-reduce", 2)


@pytest.mark.parametrize(
    "label",
    [
        "[1,0]<stdout>:",
        "0: ",
        "nccl-launcher-x7k2p  ",
        "2026-07-25T06:28:30.123Z stdout F ",
        "> ",
        "\x1b[32m",
    ],
)
def test_labels_change_nothing(label):
    text = (DATA / "cscs-gh200.log").read_text()
    (plain,) = parse_log(text)
    (labelled,) = parse_log("\r\n".join(label + line for line in text.split("\n")))
    assert labelled == plain


def test_command_line_names_the_run_that_follows():
    rows = [predicted_row(c, 2**28, 2e-3, n_ranks=8) for c in ("all-gather", "all-to-all")]
    text = "".join(
        f"$ mpirun ./build/{b}_perf -g 8\n{format_rows([r])}\n"
        for b, r in zip(("all_gather", "alltoall"), rows, strict=True)
    )
    assert [log.collective for log in parse_log(text)] == ["all-gather", "all-to-all"]


def test_more_columns_and_time_stamps():
    names = "time algbw busbw #wrong i_min i_max i_p99 i_cv%"
    head = "# Collective test starting: all_reduce_perf\n"
    head += f"# size count type redop root {names} {names} timestamp\n"
    row = "1048576 262144 float sum -1 100.00 10.49 18.35 0 98 103 103 1.2"
    row += " 101.00 10.38 18.17 N/A 99 104 104 1.1"
    (log,) = parse_log(head + row + " 2026-09-26 10:00:00")
    assert log.rows[0].out_of_place.time_s == 100e-6
    assert log.rows[0].in_place == LoggedTiming(101e-6, 10.38 * 8, 18.17 * 8, None)


def test_columns_in_place_may_be_absent():
    head = (
        "# Collective test starting: all_reduce_perf\n# size count type redop root time algbw busbw #wrong\n"
    )
    (log,) = parse_log(head + GOOD.rsplit(maxsplit=4)[0])
    assert log.rows[0].in_place is None
    assert parse_log(format_log(log))[0] == log


def report(**changes):
    result = {
        "size": 8589934592,
        "count": 2147483648,
        "type": "float",
        "redop": "sum",
        "root": "    -1",
        "out_of_place": {"time": 43980.0, "alg_bw": 195.314566, "bus_bw": 386.560078, "nwrong": 0.0},
        "in_place": {"time": 44094.0, "alg_bw": 194.809602, "bus_bw": 385.560671, "nwrong": None},
    }
    device = {
        "rank": 0,
        "group": 0,
        "pid": 1,
        "hostname": "a",
        "device": 0,
        "device_hex": "0x01",
        "device_info": "G",
    }
    whole = {
        "version": 3,
        "args": ["./build/all_reduce_perf", "-J", "a.json"],
        "config": {"nthreads": 1, "ngpus": 8, "devices": [device] * 12},
        "results": [result | changes.pop("result", {})],
        "out_of_bounds": {"count": 0, "okay": "true"},
    }
    return json.dumps(whole | changes)


def test_json_report():
    (log,) = parse_log(report())
    assert (log.collective, log.n_ranks, n_hosts(log), log.remarks) == ("all-reduce", 96, 1, ())
    assert log.rows[0].out_of_place.busbw_gbps == pytest.approx(386.560078 * 8)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "a.log:1: a JSON text, but no report of nccl-tests: JSONDecodeError"),
        ('{"a": ' * 100_000, "no report of nccl-tests"),
        ("{}", "no report of nccl-tests: KeyError 'results'"),
        (report(results=[]), "no row of nccl-tests"),
        (report(out_of_bounds={"count": 3}), "out of bounds values: 3, and no row counts any"),
        (report(result={"type": "quad"}), "8589934592 bytes of type 'quad'"),
        (report(result={"size": 10**400}), "a result of 1000"),
        (report(result={"out_of_place": None, "in_place": None}), "without timing"),
        (report(result={"in_place": {"cpu_time": 1.0}}), "cpu_time, of the launch alone"),
        (report(result={"in_place": {"time": math.nan, "alg_bw": 1, "bus_bw": 1}}), "time is 'nan'"),
        (report(result={"size": 2**30}), "are 24.* to 24.* algbw is printed as 195.315"),
    ],
)
def test_json_reports_that_are_refused(text, complaint):
    with pytest.raises(LogError, match=complaint):
        parse_log(text, "a.log")


@pytest.mark.some(8)
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "^a.log: no row of nccl-tests"),
        (HEAD, "^a.log: no row of nccl-tests"),
        (HEAD + GOOD.replace("195.31", "196.31"), ":3: 8,589,934,592 bytes in .* algbw is printed as 196"),
        (HEAD + GOOD.replace("43980", "44980"), "^a.log:3: .* are 190.* GB/s"),
        (HEAD + SMALL + "\n" + GOOD.replace("386.56", "387.56"), "^a.log:.: .*not the same number of ranks"),
        (busbw("300.00"), "^a.log:3: .*not the same number of ranks"),
        (busbw("301.00", "300.23"), "for no whole number n of ranks"),
        (busbw("395.56"), "for no whole number n of ranks, as all-reduce"),
        (HEAD + GOOD.replace("386.56      0", "386.56     -7"), ":3: #wrong is '-7', which counts nothing"),
        (HEAD + GOOD + "\n# Out of bounds values : 2 FAILED", "^a.log:4: out of bounds values: 2"),
        (HEAD + GOOD + " 5", ":3: a row with 10 words after type and operation, and 8 measured columns$"),
        (GOOD + " 5", "the line that names the columns is missing above"),
        (HEAD + GOOD[:80] + "\n" + SMALL, "^a.log:3: a row with . words"),
        (HEAD + GOOD.replace("43980", "4398O"), "time is '4398O', which is no number"),
        (HEAD + GOOD.replace("43980", "0.00"), "8,589,934,592 bytes in no time"),
        (HEAD + GOOD.replace("43980", "nan"), "time is 'nan'"),
        (busbw("0.00", "0.00"), "one rank: .* with MPI=1"),
        (HEAD.replace("time", "cputime") + GOOD, "^a.log:2: the column is cputime"),
        (HEAD.replace("algbw", "", 1) + GOOD, ":2: a header of nccl-tests without time, algbw or busbw"),
        (HEAD.replace("all_reduce", "all_gather") + GOOD, "for no whole number n of ranks, as all-gather"),
        ("x" * (MAX_LINE + 1), "^a.log:1: line longer than 65,536 characters"),
    ],
)  # fmt: skip
def test_logs_that_are_refused(text, complaint):
    with pytest.raises(LogError, match=complaint):
        parse_log(text, "a.log")


def test_count_and_ratio_must_agree():
    row = predicted_row("all-gather", 2**30, 5e-3, n_ranks=8)
    timing = row.out_of_place
    false = LoggedTiming(timing.time_s, timing.algbw_gbps, timing.algbw_gbps * 3 / 4)
    text = format_rows([LogRow(row.size_bytes, row.count, "float", "none", -1, false)])
    with pytest.raises(LogError, match="size is 8 times the counted elements, so 8 ranks.*says 4$"):
        parse_log(text, collective="all-gather")


def test_row_that_is_cut_at_the_end_is_left_out():
    (log,) = parse_log(HEAD + SMALL + "\n" + GOOD[:60] + "\nslurmstepd: error: killed")
    assert len(log.rows) == 1
    assert log.remarks[-1] == "line 4: the last row is cut and left out"


def test_run_without_rows_is_remarked_upon():
    (log,) = parse_log(HEAD.replace("all_reduce", "alltoall") + HEAD + GOOD)
    assert log.collective == "all-reduce"
    assert log.remarks == ("a run of alltoall printed a header and no row",)


def test_files(tmp_path):
    path = tmp_path / "a.log"
    with pytest.raises(LogError, match=r"a\.log: file not found"):
        read_log(path)
    path.write_bytes((HEAD + GOOD).encode("utf-16"))
    with pytest.raises(LogError, match="one in UTF-16; save it as UTF-8"):
        read_log(path)
    path.write_bytes(b"\xef\xbb\xbf# caf\xe9 \xff\n" + (HEAD + GOOD).encode())
    assert read_log(path)[0].n_ranks == 96
    path.write_bytes((HEAD + GOOD).encode().replace(b"195.31", b"195.\xff1"))
    with pytest.raises(LogError, match=r"a\.log:3: algbw is '195.\ufffd1'"):
        read_log(path)


@pytest.mark.parametrize(
    "line",
    [
        "1 " * 30_000,
        "1 1 float " * 6_000,
        "Rank " * 13_000,
        "Rank 1 on " * 6_000,
        "all_reduce" * 6_000,
        "1" * 60_000 + " 1 float",
        "[1" * 30_000 + " float",
        "Avg bus bandwidth " * 3_000,
        "\x1b[" * 30_000,
    ],
)
def test_hostile_lines_end_soon_in_an_error(line):
    with pytest.raises(LogError, match="^<text>:1: a row with|no row of nccl-tests"):
        parse_log("\n".join([line] * 20))


def test_damaged_logs_end_in_an_answer_or_a_log_error():
    rng = random.Random(1)
    texts = [path.read_text() for path in sorted(DATA.glob("*.log"))] + [report()]
    answers = 0
    for _ in range(600):
        text = list(rng.choice(texts))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(text))
            piece = rng.choice(
                ["", "0", "9", " ", "\n", ".", "-", "e9", "[0]", "}", "null", "nan", "\x00", "size", "\u0663"]
            )
            text[at : at + rng.choice([0, 1, 1, 40])] = piece
        # Anything but an answer or this error fails the test.
        with contextlib.suppress(LogError):
            answers += len(parse_log("".join(text)))
    assert answers > 100


def test_errors_show_no_control_characters():
    with pytest.raises(LogError, match=r"^a\ufffdb:3: time is") as caught:
        parse_log(HEAD + GOOD.replace("43980", "\x07"), "a\x1bb")
    assert caught.value.line == 3


def test_unknown_collectives_are_named():
    with pytest.raises(QuestionError, match="no collective 'all-redcue'; did you mean all-reduce"):
        parse_log(HEAD + GOOD, collective="all-redcue")


def test_predicted_rows_come_back_within_rounding():
    rows = [predicted_row("all-reduce", 2**k, 2e-5 + 2**k / 5e10, n_ranks=72) for k in range(10, 34)]
    log = Log("all-reduce", 72, tuple(rows))
    (again,) = parse_log(format_log(log))
    assert again.n_ranks == 72
    for row, back in zip(rows, again.rows, strict=True):
        assert back.size_bytes == row.size_bytes
        assert back.out_of_place.time_s == pytest.approx(row.out_of_place.time_s, rel=5e-4)
        assert back.out_of_place.busbw_gbps == pytest.approx(row.out_of_place.busbw_gbps, rel=1e-3, abs=0.04)
    assert parse_log(format_log(again))[0] == again


def test_columns_are_those_of_nccl_tests():
    """The lines of nccl-tests 2.18, in the source of which widths stand."""
    lines = (DATA / "alltoall-2.18.log").read_text().splitlines()
    (log,) = read_log(DATA / "alltoall-2.18.log")
    printed_lines = format_rows(log.rows).split("\n")
    start = next(i for i, line in enumerate(lines) if " size " in line)
    assert printed_lines[1:] == [line.rstrip() for line in lines[start : start + 8]]


def test_wrong_results_are_told_by_their_row():
    (log,) = parse_log(HEAD + GOOD.replace("386.56      0", "386.56      7"))
    assert (log.rows[0].out_of_place.n_wrong, log.rows[0].out_of_place.is_wrong) == (7, True)
    assert not log.rows[0].in_place.is_wrong
    (log,) = parse_log(HEAD.replace("#wrong", "error") + GOOD.replace("386.56      0", "386.56  5e-2*"))
    assert (log.rows[0].out_of_place.n_wrong, log.rows[0].out_of_place.is_wrong) == (-1, True)


WRAPPED = {
    "docker": lambda line: json.dumps(
        {"log": line + "\n", "stream": "stdout", "time": "2026-01-01T00:00:00Z"}
    ),
    "time before the line": lambda line: json.dumps(
        {"@timestamp": "2026-01-01T00:00:00Z", "stream": "stdout", "log": line + "\n"}
    ),
    "attributes before the line": lambda line: json.dumps(
        {"attrs": {"tag": "a"}, "log": line + "\n", "stream": "stdout"}
    ),
    "Fluent Bit": lambda line: json.dumps({"log": line, "stream": "stdout"}),
    "journal": lambda line: json.dumps({"MESSAGE": line, "__REALTIME_TIMESTAMP": "1"}),
    "CRI": lambda line: f"2026-01-01T00:00:00.123456789Z stdout F {line}",
    "Markdown": lambda line: f"| {' | '.join(line.split())} |",
    "spreadsheet with decimal commas": lambda line: ";".join(line.replace(".", ",").split()),
    "ansible lines as YAML": lambda line: f"  - '{line}'",
    "ansible lines": lambda line: "        " + json.dumps(line) + ",",
    "spreadsheet": lambda line: ",".join(line.split()),
    "spreadsheet with semicolons": lambda line: ";".join(line.split()),
    "quoted cells": lambda line: ",".join(f'"{word}"' for word in line.split()),
}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_a_wrapped_log_is_read_as_it_was(wrapper):
    text = HEAD + GOOD + "\n# Avg bus bandwidth : 386.06"
    (plain,) = parse_log(text)
    (found,) = parse_log("\n".join(WRAPPED[wrapper](line) for line in text.split("\n")))
    assert found == plain
    assert found.rows[0].line == plain.rows[0].line


def docker(text, stream="stdout"):
    return json.dumps({"log": text, "stream": stream, "time": "2026-01-01T00:00:00Z"})


@pytest.mark.parametrize("tag", ["stdout", "stderr"])
def test_a_line_in_pieces_is_one(tag):
    """Docker's json-file and CRI cut lines at 16 KiB; what another stream says may stand between."""
    text = HEAD + GOOD
    (plain,) = parse_log(text)
    for n in (1, 7, 40):
        whole = [[line[i : i + n] for i in range(0, len(line), n)] or [""] for line in text.split("\n")]
        other = docker("a warning\n", "stderr" if tag == "stdout" else "stdout")
        told = [
            docker(piece + "\n" * (i == len(pieces) - 1), tag) + "\n" + other
            for pieces in whole
            for i, piece in enumerate(pieces)
        ]
        (found,) = parse_log("\n".join(told))
        assert [row.out_of_place for row in found.rows] == [row.out_of_place for row in plain.rows]
        assert found.collective == plain.collective
        cri = [
            f"2026-01-01T00:00:00Z {tag} {'F' if i == len(pieces) - 1 else 'P'} {piece}"
            for pieces in whole
            for i, piece in enumerate(pieces)
        ]
        (found,) = parse_log("\n".join(cri))
        assert [row.out_of_place for row in found.rows] == [row.out_of_place for row in plain.rows]
    # The line of a row is that of its first piece, and an end that is cut off hides nothing before it.
    cut = "\n".join(docker(piece) for piece in (HEAD, GOOD[:20], GOOD[20:] + "\n", "  16777216  41"))
    assert [row.line for row in parse_log(cut)[0].rows] == [2]


def test_all_that_ansible_says_of_a_task_is_one_run():
    """Its JSON callback has the output as a string and as lines."""
    said = {"stdout": HEAD + GOOD, "stdout_lines": (HEAD + GOOD).split("\n")}
    told = json.dumps({"plays": [{"tasks": [{"hosts": {"node1": said, "node2": said}}]}]}, indent=4)
    runs = parse_log(told)
    assert [len(run.rows) for run in runs] == [1, 1]
    # `debug: var=out.stdout` names the variable.
    (run,) = parse_log('ok: [node1] => {\n    "out.stdout": ' + json.dumps(HEAD + GOOD) + "\n}")
    assert len(run.rows) == 1


def test_a_log_in_one_string_of_ansible():
    text = HEAD + GOOD
    told = "changed: [node1] => " + json.dumps({"rc": 0, "stdout": text, "stdout_lines": []})
    assert parse_log("PLAY [all] ***\n" + told) == parse_log(text)
    one_line = "node1 | CHANGED | rc=0 | (stdout) " + text.replace("\n", "\\n")
    assert parse_log(one_line)[0].rows[0].out_of_place == parse_log(text)[0].rows[0].out_of_place


@pytest.mark.parametrize("key", ["stdout_lines", "out.stdout_lines", "msg", "stdout"])
def test_a_list_of_lines_of_ansible_on_one_line_is_read(key):
    """Each host answers so, and so does `debug: var=out.stdout_lines`."""
    lines = (HEAD + GOOD).split("\n")
    told = "".join(f"ok: [node{i}] => {json.dumps({key: lines, 'rc': 0})}\n" for i in range(2))
    found, again = parse_log(told)
    (plain,) = parse_log(HEAD + GOOD)
    assert [row.out_of_place for row in found.rows] == [row.out_of_place for row in plain.rows]
    assert [row.out_of_place for row in again.rows] == [row.out_of_place for row in plain.rows]
    # Said twice, as string and as list, it is one run.
    both = json.dumps({"stdout": HEAD + GOOD, "stdout_lines": lines})
    assert len(parse_log(f"changed: [node1] => {both}")) == 1


@pytest.mark.parametrize(
    "line",
    [
        '{"log":"',
        '"stdout_lines": ["\\q"]',
        '"msg": ["a',
        '{"log":1}',
        '{"log":[]}',
        '"\\q",',
        '"stdout": "\\ud800"',
        "8,\x002",
    ],
)
def test_a_broken_wrapping_hides_no_row(line):
    assert parse_log(f"{HEAD}{line}\n{GOOD}") == parse_log(HEAD + GOOD)


@pytest.mark.parametrize("size", ["-5", "9" * 30, "1_000", "1e9", "0.5", "+8"])
def test_a_row_whose_size_is_none_is_not_passed_over(size):
    refused = rf"^<text>:3: size is '{re.escape(size[:40])}', which is no number of bytes"
    with pytest.raises(LogError, match=refused):
        parse_log(HEAD + GOOD.replace("8589934592", size) + "\n" + SMALL)
    # Words before a type are no row where nothing measured follows.
    (run,) = parse_log(f"node-7 {size} 12 float\n{HEAD}{GOOD}")
    assert [row.size_bytes for row in run.rows] == [8589934592]
