"""Bytes of a mixture of experts: counted token by token, and against published figures."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from fabric.errors import QuestionError
from fabric.schedule.algorithms import Moe, Shape, moe_combine, moe_dispatch, moe_logical_bytes, moe_reach
from fabric.schedule.tree import phases

CASES = [
    (Shape((2, 2)), Moe(3, 5, 2, 4, 2.0)),
    (Shape((2, 2, 2)), Moe(1, 10, 3, 12, 1.0)),
    (Shape((2, 2, 2)), Moe(7, 1, 3, 12, 1.0, n_groups=3, max_groups=2)),
    (Shape((3, 3, 3, 3)), Moe(1, 1, 2, 12, 1.0, n_groups=4, max_groups=1)),
    (Shape((1, 1, 1, 1)), Moe(2, 1, 4, 8, 1.0, n_groups=4, max_groups=3)),
    (Shape((2, 2)), Moe(2, 1, 3, 8, 1.0, n_groups=4, max_groups=2)),
    (Shape((2, 2, 2, 2)), Moe(2, 1, 2, 8, 1.0, n_groups=2, max_groups=1)),
    (Shape((5,)), Moe(2, 1, 4, 10, 1.0)),
    (Shape((8,)), Moe(2, 1, 3, 16, 1.0, choice="balanced")),
    (Shape((2, 2, 2)), Moe(2, 3, 4, 12, 1.0, choice="balanced")),
    (Shape((2, 2)), Moe(2, 3, 4, 8, 1.0, choice="balanced")),
]
UNEQUAL = (Shape((1, 3, 2)), Moe(2, 1, 4, 12, 1.0))


def choices(shape: Shape, moe: Moe) -> list[list[int]]:
    """Return the ranks of the experts of a token, for every choice that it may make."""
    own = moe.n_experts // shape.n
    if moe.choice == "balanced":
        return [list(ranks) for ranks in itertools.combinations(range(shape.n), moe.top_k)]
    size = moe.n_experts // moe.n_groups
    return [
        [expert // own for expert in chosen]
        for some in itertools.combinations(range(moe.n_groups), moe.max_groups or moe.n_groups)
        for chosen in itertools.combinations(
            [e for e in range(moe.n_experts) if e // size in some], moe.top_k
        )
    ]


@pytest.mark.parametrize(("shape", "moe"), [*CASES, UNEQUAL])
def test_reach_is_the_mean_over_all_choices(shape: Shape, moe: Moe) -> None:
    domain = [d for d, g in enumerate(shape.sizes) for _ in range(g)]
    every = choices(shape, moe)
    reach = moe_reach(shape, moe)
    assert reach.domains == pytest.approx(sum(len({domain[r] for r in c}) for c in every) / len(every))
    assert reach.ranks == pytest.approx(sum(len(set(c)) for c in every) / len(every))
    assert reach.experts == moe.top_k
    logical = moe_logical_bytes(shape, moe)
    one = moe.tokens * moe.hidden * moe.bytes_per_value
    assert logical.between_domains == pytest.approx(one * reach.domains)
    assert logical.to_ranks == pytest.approx(one * reach.ranks)
    assert logical.to_experts == pytest.approx(one * moe.top_k)


def hops(shape: Shape, name: str, source: int, chosen: list[int]) -> Counter[tuple[int, int]]:
    """Return the messages of one token from rank to rank."""
    g = shape.sizes[0]
    if name == "pairwise":
        return Counter((source, target) for target in chosen if target != source)
    found: Counter[tuple[int, int]] = Counter()
    for domain in {rank // g for rank in chosen}:
        entry = domain * g + source % g
        found.update([(source, entry)] * (entry != source))
        found.update((entry, rank) for rank in set(chosen) if rank // g == domain and rank != entry)
    return found


@pytest.mark.parametrize(("shape", "moe"), CASES)
def test_phases_carry_what_tokens_need_on_average(shape: Shape, moe: Moe) -> None:
    g = shape.sizes[0]
    every = choices(shape, moe)
    one = moe.tokens * moe.hidden * moe.bytes_per_value
    for name, schedule in moe_dispatch(shape, moe).items():
        count: Counter[str] = Counter()
        for source in range(shape.n):
            for chosen in every:
                for (a, b), times in hops(shape, name, source, chosen).items():
                    over = "job" if name == "pairwise" else "domain" if a // g == b // g else "rail"
                    count[over] += times
        assert {p.pattern.over: p.bytes_per_endpoint for p in phases(schedule)} == {
            over: pytest.approx(one * times / (shape.n * len(every))) for over, times in count.items()
        }


def test_results_come_back_the_way_tokens_went() -> None:
    shape, moe = CASES[2]
    there, back = moe_dispatch(shape, moe), moe_combine(shape, replace(moe, bytes_per_value=2.0))
    assert list(there) == list(back) == ["hierarchical", "pairwise"]
    for name in there:
        sent = [(p.pattern.over, 2 * p.bytes_per_endpoint) for p in phases(there[name])]
        assert [(p.pattern.over, p.bytes_per_endpoint) for p in phases(back[name])] == sent[::-1]


def test_a_balanced_choice_of_more_experts_than_ranks_reaches_them_all() -> None:
    reach = moe_reach(Shape((4,)), Moe(1, 1, 8, 32, 1.0, choice="balanced"))
    assert (reach.domains, reach.ranks, reach.experts) == (1.0, 4.0, 8)


def test_kernels_post_all_messages_at_once() -> None:
    for schedule in (f for make in (moe_dispatch, moe_combine) for f in make(*CASES[1]).values()):
        assert {(p.steps, p.is_at_once, p.transfer) for p in phases(schedule)} == {(1, True, "tokens")}


def test_a_layer_of_deepseek_v3() -> None:
    # "Insights into DeepSeek-V3", arXiv 2505.09343, section 2.3.2: 32 tokens, 9 experts, one on each rank, 1
    # byte a value there and 2 back, over 50 GB/s: 120.96 us. Their 7K is 7,000; a rank's own experts count.
    shape = Shape((8,) * 36)
    sent = sum(moe_logical_bytes(shape, Moe(32, 7000, 9, shape.n, size)).to_experts for size in (1, 2))
    assert sent / 50e9 == pytest.approx(120.96e-6)
    # What crosses the wire is less by the tokens that stay.
    (there,) = phases(moe_dispatch(shape, Moe(32, 7000, 9, shape.n, 1))["pairwise"])
    (back,) = phases(moe_combine(shape, Moe(32, 7000, 9, shape.n, 2))["pairwise"])
    assert there.bytes_per_endpoint + back.bytes_per_endpoint == pytest.approx(sent * 287 / 288)


@pytest.mark.parametrize(("k", "dispatch", "combine"), [(2, 43, 43), (4, 58, 57), (8, 51, 50)])
def test_logical_bandwidth_of_deepep_exceeds_the_nic_within_its_bound(
    k: int, dispatch: float, combine: float
) -> None:
    # github deepseek-ai/DeepEP, README: GB/s of RDMA at EP 16, 32 and 64, NICs of 50 GB/s; 58 > 50.
    shape = Shape((8,) * k)
    moe = Moe(4096, 7168, 8, 256, 1.0, n_groups=8, max_groups=4)
    logical = moe_logical_bytes(shape, moe).between_domains
    wire = next(p for p in phases(moe_dispatch(shape, moe)["hierarchical"]) if p.pattern.over == "rail")
    bound = 50 * logical / wire.bytes_per_endpoint
    assert bound == pytest.approx(50 * k / (k - 1))
    assert max(dispatch, combine) <= bound


def test_layers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(QuestionError, match="10 experts do not lie evenly on 4 ranks; give a multiple of 4"):
        moe_reach(Shape((2, 2)), Moe(1, 1, 2, 10, 1.0))
    with pytest.raises(QuestionError, match="chooses 1 to 4 of 4 experts in 1 groups, not 5"):
        moe_reach(Shape((2, 2)), Moe(1, 1, 5, 8, 1.0, n_groups=2, max_groups=1))
    with pytest.raises(QuestionError, match="Moe: top_k: got 0; expected a positive number"):
        moe_reach(Shape((2, 2)), Moe(1, 1, 0, 8, 1.0))
    with pytest.raises(QuestionError, match="8 experts in 3 groups, of which a token uses 3: not even"):
        moe_reach(Shape((2, 2)), Moe(1, 1, 1, 8, 1.0, n_groups=3))
    with pytest.raises(QuestionError, match="8 experts in 2 groups, of which a token uses 3: not even"):
        moe_reach(Shape((2, 2)), Moe(1, 1, 1, 8, 1.0, n_groups=2, max_groups=3))
    with pytest.raises(QuestionError, match="6 experts of a domain or rank straddle groups of 4"):
        moe_reach(Shape((3, 3)), Moe(1, 1, 1, 12, 1.0, n_groups=3))
