"""Feed the program inputs that nobody meant, and flag every answer that is none.

``python -m tools.fuzz --inputs 10000 --seed 1`` makes 10,000 inputs, each by its number: shipped topologies,
logs, calibrations, price lists, graphs and command lines, changed a little where a reader expects something.
Each runs in this program, in a process that may die of it. Flagged are: an exception that is no
`FabricError`, more than 10 s of a core, more than 2 GB, an answer with a number that is negative, NaN or
infinite, a control character on the terminal. ``--only NUMBER`` runs one input again and shows it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import multiprocessing
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from tools.fuzz import cases

LIMIT_S = 10
PATIENCE_S = 30
"""How long a core may run that does not heed the alarm, as in a solver."""
LIMIT_BYTES = 2 * 2**30
# What may be below zero: what is lost or the distance from a prediction, and NCCL's sign for "no root".
MAY_BE_NEGATIVE = {"loss", "down_slope", "extra_s", "root", "idle"}
_ODD = re.compile(r"(?<![\w./:'\"-])(?:nan|-?inf|-?infinity)(?![\w./:'\"-])", re.IGNORECASE)


class Finding(NamedTuple):
    """What is wrong with the answer to one input."""

    number: int
    kind: str
    what: str
    detail: str = ""


class _Hang(BaseException):
    """A core was busy for too long."""


def run(one: cases.Case) -> str:
    """Run a case and return what is wrong with the answer, or nothing."""
    if one.graph is not None:
        return _run_graph(one)
    out, err = io.StringIO(), io.StringIO()
    for name, data in one.files.items():
        Path(name).write_bytes(data)
    from fabric.cli import main

    sys.argv = ["fabtopo", *one.arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
        status: object = 0
    except SystemExit as stop:
        status = stop.code
    text = out.getvalue() + err.getvalue()
    if status not in (0, 1, 2) or (status == 2 and not text.strip()):
        return f"status {status} with {len(text)} characters"
    odd = [c for c in text if not c.isprintable() and c not in "\n\t"]
    if any(c < "\xa0" for c in odd):
        return f"control character {odd[0]!r} on the terminal"
    if status == 2:
        return ""
    if "--json" in one.arguments:
        return next(iter(_wrong_numbers(json.loads(out.getvalue()), "")), "")
    said = "\n".join(one.arguments) + "".join(data.decode("utf-8", "replace") for data in one.files.values())
    match = _ODD.search(out.getvalue())
    return f"{match[0]} in the answer" if match and match[0] not in said else ""


def _wrong_numbers(value: Any, key: str) -> list[str]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return [text for name, item in value.items() for text in _wrong_numbers(item, name)]
    if isinstance(value, list):
        return [text for item in value for text in _wrong_numbers(item, key)]
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{key} is {value}"]
    is_negative = isinstance(value, int | float) and value < -1e-12 and key not in MAY_BE_NEGATIVE
    return [f"{key} is {value}"] if is_negative else []


def _run_graph(one: cases.Case) -> str:
    """Read a graph, ask it, and write it again."""
    from fabric import FabricError, from_networkx, max_flow, throughput, to_networkx

    assert one.graph is not None
    try:
        fabric = from_networkx(one.graph)
        to_networkx(fabric)
        first, *_, last = one.graph.nodes
        rates = [max_flow(fabric, first, last).value_gbps]
        rates.append(throughput(fabric, drop_unreachable=True).per_endpoint_gbps)
    except FabricError:
        return ""
    return next((f"a rate of {rate}" for rate in rates if not 0 <= rate < math.inf), "")


def _found(number: int, *, is_told: bool = False) -> Finding | None:
    """Run the input of a number and return what is wrong with it, if anything is."""
    one = cases.case(number)
    if is_told:
        print(cases.shown(one))
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        what, detail = run(one), ""
    except _Hang:
        what, detail = f"more than {LIMIT_S} s of a core", traceback.format_exc()
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "/fabric/" in f.filename]
        where = f"{frames[-1].filename.rpartition('/fabric/')[2]}:{frames[-1].lineno}" if frames else "?"
        what, detail = f"{type(error).__name__} at {where}", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if not what and peak > LIMIT_BYTES:
        what = f"{peak / 2**30:.1f} GB of memory"
    return Finding(number, one.kind, what, detail) if what else None


def _stop(*_: object) -> None:
    raise _Hang


def _work(numbers: range, end: Connection) -> None:
    """Run inputs one after the other and say what became of each."""
    signal.signal(signal.SIGPROF, _stop)
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_BYTES + 2**29, resource.RLIM_INFINITY))
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        os.chdir(folder)
        for number in numbers:
            finding = _found(number)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            end.send((number, finding))
            if peak > LIMIT_BYTES:  # what follows would be blamed for it
                return


def _memory() -> str | None:
    """Return a folder that no disk holds, where there is one: a third of an input's time is its writing."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def campaign(numbers: range, keep: Path | None) -> list[Finding]:
    """Run inputs in processes that may die, tell how it goes, and return the findings, one of a sort."""
    sorts: dict[str, Finding] = {}
    seen: Counter[str] = Counter()
    at, began, told = numbers.start, time.monotonic(), 0.0
    context = multiprocessing.get_context("fork")
    while at < numbers.stop:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(range(at, numbers.stop), theirs), daemon=True)
        process.start()
        theirs.close()
        while at < numbers.stop:
            is_alive = _answers(ours, process.pid)
            what = "the process died" if is_alive else f"no answer within {PATIENCE_S} s of a core"
            finding = Finding(at, "any", what)
            try:
                if is_alive:
                    _, finding = ours.recv()
            except EOFError:
                is_alive = False
            at += 1
            if finding:
                sort = f"{finding.kind}: {finding.what}"
                seen[sort] += 1
                if sort not in sorts:
                    sorts[sort] = finding
                    print(f"\n  input {finding.number}, {sort}", flush=True)
                    if keep:
                        _keep(finding, keep)
            if time.monotonic() - told > 5 or at == numbers.stop:
                told = time.monotonic()
                rate = (at - numbers.start) / (told - began)
                done = f"{at - numbers.start:,} of {len(numbers):,} inputs, {rate:,.1f} a second"
                print(f"\r{done}, {len(sorts)} findings", end="" if sys.stdout.isatty() else "\n", flush=True)
            if not is_alive:
                break
        process.kill()
        process.join()
    print()
    for sort, n in seen.most_common():
        print(f"{n:6,} x {sort} (python -m tools.fuzz --only {sorts[sort].number})")
    return list(sorts.values())


def _answers(end: Connection, pid: int | None) -> bool:
    """Wait for a process that answers or dies, and return False for one that only keeps a core busy."""
    begun = _busy_s(pid)
    while not end.poll(1):
        if _busy_s(pid) - begun > PATIENCE_S:
            return False
    return True


def _busy_s(pid: int | None) -> float:
    """Return how long a process has kept a core busy [s]: on a full machine far less than has passed."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has died, which its pipe tells
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _keep(finding: Finding, folder: Path) -> None:
    """Write an input and what became of it into a folder, to be made a test."""
    one = cases.case(finding.number)
    place = folder / str(finding.number)
    place.mkdir(parents=True, exist_ok=True)
    (place / "told.txt").write_text(
        f"{cases.shown(one)}\n{finding.what}\n\n{finding.detail}", errors="replace"
    )
    for name, data in one.files.items():
        (place / name).write_bytes(data)


def main() -> None:
    """Run what the command line asks for; status 1 where something was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="number of the first input over a million")
    parser.add_argument("--only", type=int, help="run this input again, and show what it says")
    parser.add_argument("--keep", type=Path, help="folder for the inputs that were flagged")
    given = parser.parse_args()
    if given.only is not None:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            signal.signal(signal.SIGPROF, _stop)
            finding = _found(given.only, is_told=True)
        print(finding.what + "\n" + finding.detail if finding else "nothing is wrong")
        raise SystemExit(bool(finding))
    keep = given.keep.resolve() if given.keep else None
    first = given.seed * 1_000_000
    raise SystemExit(bool(campaign(range(first, first + given.inputs), keep)))


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
