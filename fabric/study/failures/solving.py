"""Outcomes of states, each solved once: what is there at once, and the restarts of what stops, by a crew."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import TypeVar

from fabric.errors import QuestionError
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.traffic import Traffic
from fabric.study.failures.evaluate import (
    Kept,
    Outcome,
    at_once_of,
    kept_of,
    told_at_once,
    told_restart,
)
from fabric.study.failures.network import FailingJob, bare
from fabric.study.failures.states import State, in_state
from fabric.study.sweeps import Crew, run
from fabric.study.sweeps.run import Progress
from fabric.symmetry import NoSymmetryError
from fabric.symmetry.marked import form_of_damage

Found = TypeVar("Found")


class StateAnswers:
    """What is known of the states of a job.

    Parameters
    ----------
    job : FailingJob
    healthy : Outcome
        While all is up.
    crew : Crew
        Who solves what is not known yet.
    progress : callable, optional
        Given the questions answered and all questions.

    Attributes
    ----------
    outcomes : dict of State to Outcome
    """

    def __init__(self, job: FailingJob, healthy: Outcome, crew: Crew, progress: Progress | None) -> None:
        self.job, self._crew, self._progress = job, crew, progress
        self.outcomes: dict[State, Outcome] = {(): healthy}
        self._restarts: dict[State, Kept] = {}
        self._forms: dict[Hashable, State] = {}

    def of_all_to_all(self) -> StateAnswers:
        """Return the same of the job without its collective, which many states are not asked for."""
        if not self.job.collective:
            return self
        found = StateAnswers(replace(self.job, collective=""), self.outcomes[()], self._crew, self._progress)
        found.outcomes |= self.outcomes
        return found

    def of(self, states: Iterable[State]) -> dict[State, Outcome]:
        """Return the outcomes of all states that are known, these among them."""
        todo = [state for state in dict.fromkeys(states) if state not in self.outcomes]
        found = dict(zip(todo, self._asked(told_at_once, at_once_of, todo), strict=True))
        restart_of = {state: self._first(one.rest) for state, one in found.items() if one.stopped}
        if not self.job.collective:
            # What a restart leaves out is often what is down: the same state again.
            self._restarts |= {rest: found[rest].others for rest in restart_of.values() if rest in found}
        rests = [rest for rest in dict.fromkeys(restart_of.values()) if rest not in self._restarts]
        self._restarts |= zip(rests, self._asked(told_restart, kept_of, rests), strict=True)
        for state, one in found.items():
            self.outcomes[state] = one.outcome(self._restarts.get(restart_of.get(state, ())))
        return self.outcomes

    def _asked(
        self, answer: Callable[[FailingJob, State], str], read: Callable[[str], Found], states: list[State]
    ) -> Iterable[Found]:
        shared = self.job if self._crew.is_alone else bare(self.job)
        return map(read, run(answer, shared, states, crew=self._crew, progress=self._progress))

    def _first(self, rest: State) -> State:
        """Return the first state that a permutation maps to this one."""
        return self._forms.setdefault(form_of(self.job, rest), rest)


def alike(job: FailingJob, states: Iterable[State]) -> dict[State, State]:
    """Return for every state the first that a permutation maps to it."""
    first: dict[Hashable, State] = {}
    return {state: first.setdefault(form_of(job, state), state) for state in states}


def form_of(job: FailingJob, state: State) -> Hashable:
    """Return what states have in common that a permutation maps to one another; a state itself if unknown."""
    blueprint = in_state(job.fabric, state).blueprint
    if blueprint is None:
        return state
    try:
        question = ClassTraffic(blueprint, Traffic(), job.among, job.paths)
        return form_of_damage(blueprint, question.apart, question.ties)
    except (NoSymmetryError, QuestionError):
        return state
