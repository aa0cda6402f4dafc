"""Laws of every question about flow, over random small fabrics of every construct.

Renaming changes nothing, scaling scales, more cables never lower, and a failure that leaves the endpoints as
they are never raises.
"""

import json
import random
import re

import numpy as np
import pytest

from fabric.bounds.bound import OPERATIONS, bound
from fabric.flow import max_flow
from fabric.flow.throughput import throughput
from fabric.graph import expand

QUICK = (0, 1, 3, 4, 5, 8)  # every question twice
WORD = re.compile(r"[A-Za-z][A-Za-z.]*")
RATE = re.compile(r"^(\d+)(Gb/s.*)$")


class Case:
    """A draft of a construct, with its failures, its path rule, and two endpoints of it."""

    def __init__(self, constructs, seed):
        families = list(constructs.CONSTRUCTS)
        self._constructs, self.family = constructs, families[seed % len(families)]
        self.draft, self.failed, self.paths = constructs.random_draft(self.family, seed)
        self.rng = random.Random(f"law {seed}")
        self.fabric = constructs.load(self.draft, self.failed)
        e = expand(self.fabric)
        ends = np.flatnonzero(e.is_endpoint & ~e.failed)
        # Collectives are among the devices of one group.
        ends = ends[e.group[ends] == np.bincount(e.group[ends]).argmax()].tolist()
        self.ends = [str(e.names[v]) for v in self.rng.sample(ends, 2)]
        self.operation = OPERATIONS[seed % len(OPERATIONS)]

    def changed(self, change=lambda body: None, more=()):
        """Return the fabric with its file changed in place, and more failures."""
        other = self._constructs.Draft(None)
        body = json.loads(self.draft.text([*self.failed, *more]))
        change(body)
        other.files = dict(self.draft.files)
        other.text = lambda failed: json.dumps(body)
        return self._constructs.load(other)


def group_of(ends):
    return WORD.findall(ends[0])[-1]


def rate_of_all(case, fabric, ends):
    found = throughput(fabric, "all-to-all", among=group_of(ends), paths=case.paths)
    return found.per_endpoint_gbps


def rate_of_two(case, fabric, ends):
    found = max_flow(fabric, *ends, paths=case.paths)
    assert found.status == ("optimal" if found.value_gbps > 0 else "cut off")
    return found.value_gbps


def rate_of_a_collective(case, fabric, ends):
    root = ends[0] if case.operation in ("broadcast", "reduce") else ""
    among = group_of(ends)
    return bound(fabric, case.operation, among=among, paths=case.paths, root=root).algbw_gbps


QUESTIONS = {"throughput": rate_of_all, "max-flow": rate_of_two, "bound": rate_of_a_collective}


def renamed(case):
    """Return the fabric under other names, in another order, and the two endpoints there."""
    body = json.loads(case.draft.text())
    own = [*body["axes"], *body["devices"]]
    others = [f"n{chr(97 + i)}" for i in range(len(own))]
    case.rng.shuffle(others)
    new = dict(zip(own, others, strict=True))

    def say(value):
        """Rename in selectors, axes and their lists; a device is ``axis3/group1``."""
        if isinstance(value, dict):
            return {new.get(k, k): say(v) for k, v in value.items()}
        if isinstance(value, list):
            return [say(v) for v in value]
        return WORD.sub(lambda m: new.get(m[0], m[0]), value) if isinstance(value, str) else value

    def change(body):
        for key in ("axes", "devices"):
            items = [(say(k), v) for k, v in body[key].items()]
            case.rng.shuffle(items)
            body[key] = dict(items)
        body["axes"] = {k: say(v) for k, v in body["axes"].items()}
        for item in body["devices"].values():
            item["axes"] = say(item["axes"])
        for link in body["links"]:
            link |= {k: say(v) for k, v in link.items() if k not in ("name", "rate", "net")}
        # How many of some cables have failed says less than which of them, so these keep the order.
        if not any(isinstance(f, list) and len(f) > 2 for f in body["failed"]):
            case.rng.shuffle(body["links"])
        for key in ("failed", "absent"):
            body[key] = say(body.get(key, []))
        for item in body.get("include", []):
            item["over"] = say(item["over"])

    return case.changed(change), say(case.ends)


def scaled(case, factor):
    def change(body):
        for link in body["links"]:
            number, unit = RATE.match(link["rate"]).groups()
            link["rate"] = f"{factor * int(number)}{unit}"

    files = case.draft.files
    case.draft.files = {
        name: re.sub(r'"rate": "(\d+)', lambda m: f'"rate": "{factor * int(m[1])}', text)
        for name, text in files.items()
    }
    try:
        return case.changed(change)
    finally:
        case.draft.files = files


def with_cables_more(case):
    """Return the fabric with one cable more beside each that a rule joins, or beside one of them all."""
    e = expand(case.fabric)
    row = case.rng.randrange(e.n_bundles)
    rule = case.fabric.blueprint.rules[e.rule[row]]
    ends = [str(e.names[v]) for v in (e.tail[row], e.head[row])]

    def widen(body):
        link = case.rng.choice(body["links"])
        count = link.get("count", 1)
        is_plain = isinstance(count, int)
        link["count"] = count + 1 if is_plain else {a: [n + (n > 0) for n in ns] for a, ns in count.items()}

    def join(body):
        rate = "10Gb/s/3" if rule.rate_gbps % 1 else f"{rule.rate_gbps:g}Gb/s"
        link = {"between": ends, "name": "more", "rate": rate, "net": rule.net}
        body["links"].append({**link, "peer": rule.is_peer, "oneway": rule.is_oneway})

    return case.changed(case.rng.choice((widen, join)))


def with_a_failure_more(case):
    """Return the fabric with a cable, or a device that is no endpoint, down as well."""
    e = expand(case.fabric)
    others = np.flatnonzero(~e.is_endpoint & ~e.failed)
    if len(others) and case.rng.random() < 0.5:
        return case.changed(more=[str(e.names[case.rng.choice(others.tolist())])])
    row = case.rng.randrange(e.n_bundles)
    ends = [str(e.names[v]) for v in (e.tail[row], e.head[row])]
    return case.changed(more=[[*ends, 1] if case.rng.random() < 0.5 else ends])


def relabelling_changes_nothing(case, ask, before):
    there, ends = renamed(case)
    assert expand(there).n_cables == expand(case.fabric).n_cables
    after = ask(case, there, ends)
    assert after == pytest.approx(before, rel=1e-8, abs=1e-9)
    return after


def scaling_scales(case, ask, before):
    factor = case.rng.choice((3, 7, 1000))
    after = ask(case, scaled(case, factor), case.ends)
    assert after == pytest.approx(factor * before, rel=1e-8, abs=1e-8)
    return after


def cables_more_never_lower(case, ask, before):
    after = ask(case, with_cables_more(case), case.ends)
    assert after >= before * (1 - 1e-8) - 1e-9
    return after


def a_failure_never_raises(case, ask, before):
    after = ask(case, with_a_failure_more(case), case.ends)
    assert after <= before * (1 + 1e-8) + 1e-9
    return after


LAWS = (relabelling_changes_nothing, scaling_scales, cables_more_never_lower, a_failure_never_raises)


def check(constructs, question, law, seed):
    """Check one law of one question on one fabric; return the answers before and after."""
    case, ask = Case(constructs, seed), QUESTIONS[question]
    before = ask(case, case.fabric, case.ends)
    return before, law(case, ask, before)


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "seed", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in range(12) if n not in QUICK)]
)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_laws(law, seed, constructs):
    question = list(QUESTIONS)[(seed + seed // len(QUESTIONS)) % len(QUESTIONS)]
    check(constructs, question, law, seed)


def matters(answers):
    """Return whether one of the changes makes a difference: where nothing flows, laws say little."""
    return any(abs(after - before) > 0.01 * before > 0 for before, after in answers)


@pytest.mark.parametrize("law", LAWS[1:], ids=lambda law: law.__name__)
def test_the_laws_are_worth_checking(law, constructs):
    assert matters(check(constructs, "max-flow", law, seed) for seed in range(30))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(4))
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("question", QUESTIONS)
def test_laws_in_quota(question, law, chunk, constructs):
    first = 12 + 39 * chunk
    answers = [check(constructs, question, law, seed) for seed in range(first, first + 39)]
    assert matters(answers) == (law is not relabelling_changes_nothing)
