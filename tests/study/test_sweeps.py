"""Sweeps: the same answers whoever gives them, nothing lost and nothing counted twice whatever breaks."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pytest
from joblib.externals.loky import get_reusable_executor

from fabric import failures, loads
from fabric.errors import FileError, QuestionError
from fabric.study import run
from fabric.study.sweeps import Crew
from fabric.study.sweeps.fingerprint import fingerprint
from fabric.study.sweeps.run import first_digits, seed_of
from fabric.study.sweeps.store import EVERY_S, Store

ASKED = """
import os, signal, time
from pathlib import Path

def written(folder, number):
    '''Write down that it was asked, take some time, and answer.'''
    with open(Path(folder) / "log", "a") as log:
        log.write(f"{number}\\n")
    time.sleep(0.02)
    return str(number * number)

def deadly(folder, number):
    '''Kill the worker that is asked for 5 first.'''
    try:
        if number == 5:
            (Path(folder) / "killed").touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
    except FileExistsError:
        pass
    return written(folder, number)

def long(folder, number):
    return str(number) * 10_000
"""
PLANES = """
fabric: planes
axes: {i: 4, plane: 2}
devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: [plane]}}
links: [{between: [gpu, leaf], rate: 400Gb/s}]
"""
SQUARES = [str(n * n) for n in range(60)]


@pytest.fixture(scope="module")
def asked():
    """Return the functions that are asked, of a module that workers can import."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "asked_of_workers.py").write_text(ASKED)
        sys.path.insert(0, folder)
        # Workers that other tests left behind know the path as it was when they began.
        get_reusable_executor().shutdown(wait=True)
        import asked_of_workers

        yield asked_of_workers
        sys.path.remove(folder)


def asked_for(folder):
    return [int(line) for line in (folder / "log").read_text().split()]


def kept_in(path):
    with contextlib.closing(sqlite3.connect(path)) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [row[0] for row in store.execute("SELECT answer FROM answers")]


def driver(code, folder, **more):
    """Start a driver of its own, which knows the module of the functions."""
    module = Path(sys.modules["asked_of_workers"].__file__).parent
    path = os.pathsep.join([str(module), str(Path(__file__).parents[2])])
    begin = "import sys\nfrom asked_of_workers import *\nfrom fabric.study.sweeps import *\n"
    begin += "folder = sys.argv[1]\n"
    return subprocess.Popen(
        [sys.executable, "-c", begin + textwrap.dedent(code), str(folder)],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **more,
    )


def test_a_second_run_asks_only_what_is_not_known(asked, tmp_path):
    store = Crew(store=tmp_path / "s.sqlite")
    assert list(run(asked.written, str(tmp_path), [3, 1, 3], crew=store)) == ["9", "1", "9"]
    assert asked_for(tmp_path) == [3, 1]
    assert list(run(asked.written, str(tmp_path), range(5), crew=store)) == SQUARES[:5]
    assert asked_for(tmp_path) == [3, 1, 0, 2, 4]


def test_what_was_answered_before_a_stop_is_kept(asked, tmp_path):
    def stopped():
        yield from range(7)
        raise KeyboardInterrupt

    crew = Crew(store=tmp_path / "s.sqlite")
    # Questions are read some at a time: what was read is answered.
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        list(run(asked.written, str(tmp_path), stopped(), crew=crew))
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        list(run(asked.written, str(tmp_path), range(9), crew=crew, progress=stop_at(4)))
    assert sorted(kept_in(crew.store), key=int) == SQUARES[:4]
    assert list(run(asked.written, str(tmp_path), range(9), crew=crew)) == SQUARES[:9]
    assert sorted(asked_for(tmp_path)) == list(range(9))


def stop_at(n):
    def told(done, _):
        if done == n:
            raise KeyboardInterrupt

    return told


def test_answers_are_those_of_this_process_in_any_order_and_by_any_number_of_workers(tmp_path):
    numbers = list(range(40))
    alone = list(run(first_digits, 7, numbers))
    mixed = random.Random(1).sample(numbers, len(numbers))
    by_two = Crew(jobs=2, store=tmp_path / "s.sqlite")
    assert dict(zip(mixed, run(first_digits, 7, mixed, crew=by_two), strict=True)) == dict(
        zip(numbers, alone, strict=True)
    )
    assert sorted(kept_in(by_two.store)) == sorted(set(alone))


def test_failures_are_the_same_bytes_by_workers_and_from_a_store(tmp_path):
    fabric = loads(PLANES)
    whole = failures(fabric).to_json()
    assert failures(fabric, jobs=2, store=tmp_path / "s.sqlite").to_json() == whole
    assert failures(fabric, store=tmp_path / "s.sqlite").to_json() == whole
    # Of another fabric nothing is taken from there.
    other = loads(PLANES.replace("i: 4", "i: 5"))
    assert failures(other, store=tmp_path / "s.sqlite").to_json() == failures(other).to_json()


def test_a_worker_that_is_killed_is_replaced(asked, tmp_path):
    crew = Crew(jobs=2, store=tmp_path / "s.sqlite")
    assert list(run(asked.deadly, str(tmp_path), range(12), crew=crew)) == SQUARES[:12]
    assert (tmp_path / "killed").exists()
    assert sorted(kept_in(crew.store), key=int) == SQUARES[:12]


def test_two_runs_on_one_store_at_once(asked, tmp_path):
    path, found = tmp_path / "s.sqlite", {}

    def one(order):
        found[order] = list(run(asked.written, str(tmp_path), range(30)[::order], crew=Crew(store=path)))

    threads = [threading.Thread(target=one, args=(order,)) for order in (1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {1: SQUARES[:30], -1: SQUARES[:30][::-1]}
    assert sorted(kept_in(path), key=int) == SQUARES[:30]


@pytest.mark.seeds(1, of=10)
def test_a_driver_that_is_killed_loses_little_and_counts_nothing_twice(asked, tmp_path, seed):
    code = "print(*run(written, folder, range(60), crew=Crew(store=folder + '/s.sqlite')))"
    wait = random.Random(seed).uniform(0.3, 1.0)
    one = driver(code, tmp_path)
    while not (tmp_path / "log").exists():
        time.sleep(0.01)
    time.sleep(wait)
    one.kill()
    one.communicate()
    n_asked = len(asked_for(tmp_path))
    n_kept = len(kept_in(tmp_path / "s.sqlite"))
    # What a killed run loses is what it answered since it last wrote, and one that it had in hand.
    assert n_asked - n_kept <= EVERY_S / 0.02 + 2
    out, error = driver(code, tmp_path).communicate()
    assert (out.split(), error) == (SQUARES, "")
    assert len(asked_for(tmp_path)) == n_asked + 60 - n_kept
    assert sorted(kept_in(tmp_path / "s.sqlite"), key=int) == SQUARES


def test_a_full_disk_is_one_clear_error_and_keeps_what_is_there(asked, tmp_path):
    code = """
    import resource
    from fabric.errors import FileError
    from fabric.study.sweeps import store
    store.EVERY_S = 0.0
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        list(run(long, folder, range(60), crew=Crew(store=folder + "/s.sqlite")))
    except FileError as error:
        print(error)
    """
    out, error = driver(code, tmp_path).communicate()
    assert error == ""
    assert "s.sqlite: cannot be used as a store" in out
    assert "what was answered before is kept" in out
    n = len(kept_in(tmp_path / "s.sqlite"))
    assert 2 <= n < 20
    answers = list(run(asked.long, str(tmp_path), range(60), crew=Crew(store=tmp_path / "s.sqlite")))
    assert answers == [str(n) * 10_000 for n in range(60)]
    assert len(kept_in(tmp_path / "s.sqlite")) == 60


def test_a_store_that_may_not_be_written_is_told_before_anything_is_asked(asked, tmp_path):
    code = """
    import os
    from fabric.errors import FileError
    store = folder + "/s.sqlite"
    list(run(long, folder, [1], crew=Crew(store=store)))
    os.chmod(store, 0o444); os.chmod(folder, 0o555)
    if not os.geteuid():
        os.seteuid(65534)
    try:
        list(run(written, folder, [1], crew=Crew(store=store)))
    except FileError as error:
        print(error)
    """
    with tempfile.TemporaryDirectory() as folder:
        out, error = driver(code, folder).communicate()
        assert (error, (Path(folder) / "log").exists()) == ("", False)
        fault = "cannot be used as a store: attempt to write a readonly database; name another file"
        assert out == f"{folder}/s.sqlite: {fault}\n"
        Path(folder).chmod(0o755)


def test_what_is_no_store_is_left_alone(tmp_path):
    for name, data in (("text", b"of mine, longer than the header of a file of SQLite" * 9), ("other", b"")):
        path = tmp_path / name
        path.write_bytes(data)
        if not data:
            with contextlib.closing(sqlite3.connect(path)) as other, other:
                other.execute("CREATE TABLE mine (x)")
        before = path.read_bytes()
        with pytest.raises(FileError, match=r"(is no store of answers|file is not a database)"):
            Store(path)
        assert path.read_bytes() == before


def test_ctrl_c_ends_in_a_second_and_keeps_what_is_there(asked, tmp_path):
    code = "list(run(written, folder, range(6000), crew=Crew(jobs=2, store=folder + '/s.sqlite')))"
    one = driver(code, tmp_path, start_new_session=True)
    while not (tmp_path / "log").exists() or len(asked_for(tmp_path)) < 60:
        time.sleep(0.02)
    os.killpg(one.pid, signal.SIGINT)
    one.communicate(timeout=30)  # a second, on a machine that is not busy
    assert one.returncode != 0
    assert 0 < len(kept_in(tmp_path / "s.sqlite")) < 6000


def test_questions_stream(tmp_path):
    most = 0

    def numbers():
        nonlocal most
        for n in range(3000):
            most = max(most, n - done[0])
            yield n

    done = [0]

    def told(n_done, _):
        done[0] = n_done

    answers = run(first_digits, 7, numbers(), progress=told)
    assert [next(answers) for _ in range(3)] == ["0.00", "0.14", "0.29"]
    assert most <= 500


def test_a_crew_that_cannot_be_is_refused():
    for given in ({"jobs": 0}, {"jobs": -2}, {"backend": "dask"}, {"scheduler": "tcp://127.0.0.1:1"}):
        with pytest.raises(QuestionError, match=r"jobs: from 1|go together"):
            Crew(**given)


def test_fingerprints_tell_apart_what_is_not_equal():
    values = [
        1,
        1.0,
        True,
        "1",
        b"1",
        None,
        (1,),
        ((1,),),
        (1, 2),
        ({1: 2},),
        frozenset({1, 2}),
        ("a", "b"),
        "ab",
    ]
    assert len({fingerprint(value) for value in values}) == len(values)
    assert fingerprint(frozenset({"a", "b", "c"})) == fingerprint(frozenset({"c", "b", "a"}))
    assert seed_of("a", 1).random() == seed_of("a", 1).random() != seed_of("a", 2).random()


@pytest.mark.slow
def test_a_worker_of_dask_that_is_killed_loses_nothing(asked, tmp_path):
    code = """
    from distributed import LocalCluster
    if __name__ == "__main__":
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            crew = Crew(backend="dask", scheduler=cluster.scheduler_address, store=folder + "/s.sqlite")
            print(*run(deadly, folder, range(60), crew=crew))
    """
    out, error = driver(code, tmp_path).communicate(timeout=300)
    assert out.split() == SQUARES, error
    assert (tmp_path / "killed").exists()
    assert sorted(kept_in(tmp_path / "s.sqlite"), key=int) == SQUARES
