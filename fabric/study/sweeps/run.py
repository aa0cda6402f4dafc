"""The engine of sweeps: what is not answered yet is asked, here or by workers, and kept as it comes.

A question is a value; its answer depends on it, on what all questions share, and on nothing else::

    questions -> not in the store -> workers (joblib: loky, dask, ...) -> store -> answers in order

So the answers are the same bytes whatever answers them, and a run that was killed goes on where it was.
"""

from __future__ import annotations

import contextlib
import pickle
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from fabric import __version__
from fabric.errors import ExtraError, FabricError, QuestionError
from fabric.study.sweeps.fingerprint import fingerprint
from fabric.study.sweeps.store import Store

Progress = Callable[[int, int], None]
Shared = TypeVar("Shared")
Question = TypeVar("Question")

AT_ONCE = 500
"""Questions that are looked up together."""
NAME = 32
"""Digits of a hash that name a question: 128 bits."""
TRIES = 4
"""How often a worker may die before the run gives up."""
MAX_JOBS, PATIENCE_S = 4096, 10


@dataclass(frozen=True, slots=True)
class Crew:
    """Who answers the questions of a sweep, and where the answers are kept.

    Parameters
    ----------
    jobs : int
        Workers; 1 is this process alone, -1 as many as there are cores.
    backend : str
        Of joblib: empty for processes on this machine (loky), ``dask``, or another that is registered.
    scheduler : str
        Address of the scheduler of Dask, such as ``tcp://10.0.0.1:8786``.
    store : str or Path
        SQLite file that keeps the answers; empty for none.
    """

    jobs: int = 1
    backend: str = ""
    scheduler: str = ""
    store: str | Path = ""

    def __post_init__(self) -> None:
        """Refuse what names no workers."""
        if not (self.jobs == -1 or 1 <= self.jobs <= MAX_JOBS):
            msg = f"jobs: from 1 to {MAX_JOBS:,}, or -1 for one a core; got {self.jobs}"
            raise QuestionError(msg)
        if bool(self.scheduler) != (self.backend == "dask"):
            msg = "backend dask and the address of its scheduler go together, such as tcp://10.0.0.1:8786"
            raise QuestionError(msg)

    @property
    def is_alone(self) -> bool:
        """Whether this process answers all questions."""
        return self.jobs == 1 and not self.backend


class _Reply(NamedTuple):
    """An answer as text, or an error, of the question of a hash."""

    name: str
    text: str
    error: str = ""


def run(
    answer: Callable[[Shared, Question], str],
    shared: Shared,
    questions: Iterable[Question],
    *,
    crew: Crew | None = None,
    progress: Progress | None = None,
) -> Iterator[str]:
    """Yield the answers to questions that do not depend on one another, in their order.

    Parameters
    ----------
    answer : callable
        A function of a module, given what is shared and a question; returns a text.
    shared : object
        What all questions are about, such as a fabric.
    questions : iterable
        Values; equal ones are answered once. They are read once, some at a time.
    crew : Crew, optional
        This process alone if left out.
    progress : callable, optional
        Given the questions that are answered, and all that are known so far.

    Raises
    ------
    FileError
        If the store cannot be used.
    ExtraError
        If a package is missing that the crew needs.
    QuestionError
        If a question has no answer, or workers are lost again and again. What was answered is kept.

    Notes
    -----
    An answer is known by a hash of `answer`, `shared`, its question and the version of this package. Memory
    is 32 bytes a question and what is being answered.

    Examples
    --------
    >>> from fabric.study.sweeps.run import first_digits
    >>> list(run(first_digits, 3, [22, 7, 22]))
    ['7.33', '2.33', '7.33']
    """
    crew = Crew() if crew is None else crew
    of_all = fingerprint(__version__, answer, shared)
    asked: list[bytes] = []
    with Store(crew.store) as store:
        fresh = _unanswered(store, of_all, questions, asked)
        _answer_all(answer, shared, fresh, store, crew=crew, done=_counted(progress, asked))
        if progress is not None:
            progress(len(asked), len(asked))
        for name in asked:
            yield store.answer(name.hex())


def seed_of(*values: object) -> random.Random:
    """Return a generator of random numbers that belongs to a question: the same in every process."""
    return random.Random(int(fingerprint(*values)[:16], 16))


def first_digits(shared: int, question: int) -> str:
    """Return a quotient to two digits: the smallest question that there is."""
    return f"{question / shared:.2f}"


def _counted(progress: Progress | None, asked: Sequence[bytes]) -> Callable[[int], None]:
    def told(n_done: int) -> None:
        if progress is not None:
            progress(n_done, len(asked))

    return told


def _unanswered(
    store: Store, of_all: str, questions: Iterable[Question], asked: list[bytes]
) -> Iterator[tuple[str, Question]]:
    """Yield the questions that have no answer, each once, and write down the hashes of all."""
    rest, seen = iter(questions), set[bytes]()
    while some := list(islice(rest, AT_ONCE)):
        names = [fingerprint(of_all, question)[:NAME] for question in some]
        asked += map(bytes.fromhex, names)
        unknown = store.unknown(names)
        for name, question in zip(names, some, strict=True):
            if name in unknown and (key := bytes.fromhex(name)) not in seen:
                seen.add(key)
                yield name, question


def _answer_all(
    answer: Callable[[Shared, Question], str],
    shared: Shared,
    fresh: Iterator[tuple[str, Question]],
    store: Store,
    *,
    crew: Crew,
    done: Callable[[int], None],
) -> None:
    """Answer what is fresh and keep it, what a lost worker had once more."""
    if crew.is_alone:
        for n, (name, question) in enumerate(fresh):
            store.keep(name, answer(shared, question))
            done(n + 1)
        store.save()
        return
    packed = pickle.dumps((answer, shared))
    pending: dict[str, Question] = {}
    n_done = 0

    def handed() -> Iterator[tuple[str, Question]]:
        yield from list(pending.items())
        for name, question in fresh:
            pending[name] = question
            yield name, question

    for attempt in range(TRIES):
        try:
            for told in _by_workers(packed, handed(), crew):
                if told.error:
                    raise QuestionError(told.error)
                store.keep(told.name, told.text)
                del pending[told.name]
                n_done += 1
                done(n_done)
            break
        except _lost_worker() as error:
            if attempt == TRIES - 1:
                msg = f"workers were lost {TRIES} times ({error}); what was answered is kept"
                raise QuestionError(msg) from None
        finally:
            store.save()


def _by_workers(packed: bytes, questions: Iterator[tuple[str, Any]], crew: Crew) -> Iterator[_Reply]:
    """Yield answers as workers give them."""
    joblib = _joblib()
    with contextlib.ExitStack() as stack:
        if crew.backend == "dask":
            stack.enter_context(_dask(crew.scheduler))
        # A cluster has as many workers as it has.
        n_jobs = -1 if crew.backend and crew.jobs == 1 else crew.jobs
        try:
            config = joblib.parallel_config(backend=crew.backend or "loky", n_jobs=n_jobs)
        except ValueError as error:
            msg = f"backend {crew.backend!r}: {error}"
            raise QuestionError(msg) from None
        stack.enter_context(config)
        # By default joblib hands out twice as many questions as there are workers, and more as they end.
        parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1 if crew.backend else "auto")
        try:
            yield from parallel(joblib.delayed(_told)(packed, name, one) for name, one in questions)
        except (KeyboardInterrupt, GeneratorExit):
            if not crew.backend:
                # Without waiting for what the workers have in hand.
                from joblib.externals.loky import get_reusable_executor

                get_reusable_executor().shutdown(wait=False, kill_workers=True)
            raise


def _told(packed: bytes, name: str, question: object) -> _Reply:
    """Return what a worker answers."""
    answer, shared = _unpacked(packed)
    try:
        return _Reply(name, answer(shared, question))
    except FabricError as error:
        return _Reply(name, "", str(error))


@lru_cache(2)
def _unpacked(packed: bytes) -> tuple[Callable[[Any, Any], str], Any]:
    """Return what all questions share, once in each worker: much is remembered on it."""
    found: tuple[Callable[[Any, Any], str], Any] = pickle.loads(packed)  # noqa: S301 - by our own driver
    return found


def _joblib() -> Any:  # noqa: ANN401 - the module
    try:
        import joblib
    except ImportError:
        msg = "jobs and backends need joblib: pip install 'fabtopo[sweep]'"
        raise ExtraError(msg) from None
    return joblib


def _lost_worker() -> type[BaseException]:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    return BrokenProcessPool  # type: ignore[no-any-return]


def _dask(scheduler: str) -> Any:  # noqa: ANN401 - a client
    try:
        from distributed import Client
    except ImportError:
        msg = "backend dask needs Dask: pip install 'fabtopo[dask]'"
        raise ExtraError(msg) from None
    try:
        client = Client(scheduler, timeout=PATIENCE_S)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        msg = f"no scheduler of Dask at {scheduler}: {error}"
        raise QuestionError(msg) from None
    # Of other packages there a question would never come back.
    same = f"import fabric, fabric.study.sweeps\nassert fabric.__version__ == {__version__!r}"
    try:
        client.run_on_scheduler(exec, same)  # type: ignore[no-untyped-call]
        client.run(exec, same)
    except (ImportError, AssertionError) as error:
        client.close()  # type: ignore[no-untyped-call]
        msg = f"the scheduler at {scheduler} or a worker of it has no fabtopo {__version__} ({error})"
        raise QuestionError(msg) from None
    return client
