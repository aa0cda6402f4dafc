"""Groups that are not alike: each kind by its fastest algorithm, all at once; the slowest is the answer."""

import pytest

import fabric
from fabric.errors import QuestionError
from fabric.schedule import Moe
from tests.job.test_by_number import WIDE


@pytest.fixture(scope="module")
def wide():
    return fabric.loads(WIDE)


@pytest.mark.some(1)
@pytest.mark.parametrize("collective", ["all-reduce", "all-to-all"])
@pytest.mark.parametrize(
    ("order", "over"),
    [
        ("(pod rack slot) -> (b a=8)", ("a",)),
        ("(pod rack slot) -> (a b=8)", ("b",)),
        ("(pod rack slot) -> (b a=4)", ("b",)),
    ],
)
def test_kinds_take_on_classes_what_they_do_on_cables(wide, collective, order, over):
    # Refused: "groups lie in domains in different ways".
    asked = {"order": order, "over": over, "is_bounded": False}
    one, two = (fabric.cost(wide, collective, "64MiB", method=m, **asked) for m in ("axes", "links"))
    assert (one.method, two.method) == ("axes", "links")
    assert one.time_s == pytest.approx(two.time_s, rel=1e-9)
    assert len(one.kinds) > 1
    assert one.n_instances == sum(kind.n_groups for kind in one.kinds)
    # Never faster than the slowest kind alone, and 72 ranks in all.
    assert one.time_s >= one.kinds[0].time_s * (1 - 1e-9)
    assert sum(kind.n_groups * sum(kind.sizes) for kind in one.kinds) == 72
    assert [kind.time_s for kind in one.kinds] == sorted((k.time_s for k in one.kinds), reverse=True)
    assert one.chosen.algorithm in str(one)


def test_racks_of_six_by_hand(wide):
    answer = fabric.cost(
        wide,
        "all-reduce",
        "1GB",
        order="(pod rack slot) -> (b a=8)",
        over=("a",),
        algorithm="ring",
        calibration="wire",
        is_bounded=False,
    )
    assert sorted((kind.sizes, kind.n_groups) for kind in answer.kinds) == [
        ((2, 6), 3),
        ((4, 4), 3),
        ((6, 2), 3),
    ]
    # A ring leaves a rack by one card a message: 2 x 7/8 of a gigabyte at 400 Gb/s, of as many rings as a
    # domain has ranks, by another card each.
    assert answer.busbw_gbps <= 400 * 6 * (1 + 1e-9)
    assert answer.time_s == pytest.approx(max(kind.time_s for kind in answer.kinds))


def test_groups_of_unequal_size_run_beside_each_other():
    # Refused: "groups over rack, slot are of 5 to 6 ranks; they must be alike".
    f = fabric.loads(WIDE + "failed: [pod0/rack0/gpu0, pod1/rack2/gpu]\n")
    one, two = (
        fabric.cost(f, "all-gather", "64MiB", over=("slot",), method=m, is_bounded=False)
        for m in ("axes", "links")
    )
    assert sorted((kind.sizes, kind.n_groups) for kind in one.kinds) == [((5,), 1), ((6,), 10)]
    assert one.time_s == pytest.approx(two.time_s, rel=1e-9)
    assert one.n_ranks == 6
    # Those of six take as long as where nothing is down.
    whole = fabric.cost(fabric.loads(WIDE), "all-gather", "64MiB", over=("slot",), is_bounded=False)
    assert one.time_s == pytest.approx(whole.time_s, rel=1e-9)


def test_who_is_alone_in_its_group_sends_nothing():
    f = fabric.loads(WIDE + "failed: [pod0/rack0/gpu0, pod0/rack1/gpu0, pod0/rack2/gpu0]\n")
    answer = fabric.cost(f, "all-reduce", "64MiB", over=("rack",), is_bounded=False)
    assert [(kind.sizes, kind.n_groups) for kind in answer.kinds] == [((1, 1, 1, 1), 17)]
    assert answer.n_instances == 17


def test_tokens_of_unlike_groups(wide):
    moe = Moe(tokens=128, hidden=7168, top_k=4, n_experts=16, bytes_per_value=1)
    asked = {"order": "(pod rack slot) -> (b a=8)", "over": ("a",)}
    one, two = (fabric.moe_cost(wide, "dispatch", moe, method=m, **asked) for m in ("axes", "links"))
    assert one.time_s == pytest.approx(two.time_s, rel=1e-9)
    assert [kind.n_groups for kind in one.kinds] == [3, 3, 3]


def test_an_algorithm_by_name_has_to_run_in_every_kind(wide):
    asked = {"order": "(pod rack slot) -> (b a=8)", "over": ("a",)}
    with pytest.raises(QuestionError, match="hierarchical cannot run"):
        fabric.cost(wide, "all-reduce", "64MiB", algorithm="hierarchical", **asked)
    every = fabric.cost(wide, "all-reduce", "64MiB", algorithm="all", **asked)
    assert len(every.algorithms) > 1


def test_best_routes_of_each_kind_are_not_those_of_all(wide):
    # Added up they were slower than an equal split.
    with pytest.raises(QuestionError, match="groups are of 3 kinds, each with steps of its own"):
        fabric.cost(
            wide, "all-to-all", "64MiB", order="(pod rack slot) -> (b a=8)", over=("a",), routing="ideal"
        )


def test_nccl_tunes_each_kind_by_itself():
    # Refused: "groups lie in domains in different ways".
    racks = fabric.load("topologies/gb300-nvl72-1152.fabric.yaml")
    asked = {"order": "(rack tray slot) -> (b a=16)", "over": ("a",), "is_bounded": False}
    answer = fabric.cost(racks, "all-reduce", "1GB", calibration="nccl", **asked)
    # 4 groups of 16 fill 64 of 72 places: of two racks 8 groups lie in one, one in both.
    assert [(kind.sizes, kind.n_groups) for kind in answer.kinds] == [((8, 8), 8), ((16,), 64)]
    assert answer.n_instances == 72
    # A communicator knows no other one: each takes what it does alone.
    for kind, among in zip(answer.kinds, ("rack0-1/tray0-1", "rack0/tray0-3"), strict=True):
        alone = fabric.cost(racks, "all-reduce", "1GB", calibration="nccl", among=among, is_bounded=False)
        assert (kind.time_s, kind.algorithm) == (pytest.approx(alone.time_s, rel=1e-9), alone.chosen.name)
    assert answer.time_s == answer.kinds[0].time_s


def test_nccl_has_no_nodes_of_unequal_size():
    racks = fabric.load("topologies/gb300-nvl72-1152.fabric.yaml")
    unequal = (
        "NCCL's model is of nodes with as many ranks each; a group here has 8 to 56 in a scale-up domain"
    )
    with pytest.raises(QuestionError, match=unequal):
        fabric.cost(
            racks, "all-reduce", "1GB", calibration="nccl", order="(rack tray slot) -> (b a=64)", over=("a",)
        )
