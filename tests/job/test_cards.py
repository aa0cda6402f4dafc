"""The library chooses the cards of a message, and the network routes between them: by axes and by links."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest

from fabric import costing
from fabric.errors import QuestionError
from fabric.graph import Fabric, expand, load, loads
from fabric.job import JobQuestion, job
from fabric.routing import Demands, Messages, message_loads
from fabric.schedule import Pattern
from fabric.units import gbps_to_gbytes

# Bounds have tests of their own.
cost = partial(costing.cost, is_bounded=False)

METHODS = ("axes", "links")


def busbw(fabric: Fabric, collective: str = "send-recv", **asked: object) -> float:
    """Return the busbw [GB/s] at wire rates."""
    answer = cost(fabric, collective, "1GiB", is_bounded=False, **asked, calibration="wire")  # type: ignore[arg-type]
    return gbps_to_gbytes(answer.busbw_gbps)


def box(gpus: int, cards: int, *, nodes: int = 2, extra: str = "") -> Fabric:
    """Return servers of some GPUs and 50 GB/s cards on one PCIe switch of 200 GB/s, all on one leaf."""
    return loads(f"""
fabric: box
axes: {{node: {nodes}, g: {gpus}, c: {cards}}}
devices:
  gpu: {{kind: gpu, axes: [node, g], transit: relay}}
  nv: {{kind: switch, axes: [node]}}
  psw: {{kind: switch, axes: [node], transit: pass}}
  nic: {{kind: nic, axes: [node, c]}}
  leaf: {{kind: switch, axes: []}}
links:
  - {{between: [gpu, nv], rate: 400GB/s, net: scale-up}}
  - {{between: [gpu, psw], rate: 200GB/s}}
  - {{between: [psw, nic], rate: 200GB/s}}
  - {{between: [nic, leaf], rate: 50GB/s}}
{extra}""")


def rails(*, nodes: int = 4, spine: bool = False, extra: str = "") -> Fabric:
    """Return servers of four GPUs with a card each, and a leaf a rail."""
    top = "  spine: {kind: switch, axes: []}\n" if spine else ""
    up = "  - {between: [leaf, spine], rate: 50GB/s, count: 4}\n" if spine else ""
    return loads(f"""
fabric: rails
axes: {{node: {nodes}, slot: 4}}
devices:
  gpu: {{kind: gpu, axes: [node, slot], transit: relay}}
  nv: {{kind: switch, axes: [node]}}
  nic: {{kind: nic, axes: [node, slot]}}
  leaf: {{kind: switch, axes: [slot]}}
{top}links:
  - {{between: [gpu, nv], rate: 200GB/s, net: scale-up}}
  - {{between: [gpu, nic], rate: 100GB/s}}
  - {{between: [nic, leaf], rate: 50GB/s}}
{up}{extra}""")


# Two GPUs and two cards of 50 GB/s a PCIe switch, a leaf a card, two spines (issue 12, C1).
TWO_NICS = """
fabric: two
axes: {node: 2, slot: 2, spine: 2}
devices:
  gpu:   {kind: gpu, axes: [node, slot]}
  psw:   {kind: switch, axes: [node]}
  nic:   {kind: nic, axes: [node, slot]}
  leaf:  {kind: switch, axes: [node, slot]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, psw], rate: 800Gb/s, net: host}
  - {between: [psw, nic], rate: 800Gb/s, net: host}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
"""


class TestOneCard:
    """A message is on one card."""

    @pytest.mark.parametrize(
        "failed", ["", "failed: [[node0/leaf0, spine0, 1]]", "failed: [spine0]"], ids=["up", "cable", "spine"]
    )
    def test_what_fails_above_is_not_shared_among_cards(self, failed: str) -> None:
        # 100, 85.71 and 100 where the network chooses; the NIC of 50 GB/s has 100 above it, or 150, or 100.
        ranks = ("node0/gpu0", "node1/gpu0")
        assert busbw(loads(TWO_NICS + failed), ranks=ranks) == pytest.approx(50)

    def test_two_cards_for_two_gpus_are_one_each(self) -> None:
        # NCCL gives each GPU ceil(2 cards / 2 GPUs) of equally near cards (nccl-tests#130).
        fabric = loads("""
fabric: two-and-two
axes: {node: 2, i: 2}
devices:
  gpu:  {kind: gpu, axes: [node, i]}
  psw:  {kind: switch, axes: [node], transit: pass}
  nic:  {kind: nic, axes: [node, i]}
  leaf: {kind: switch, axes: [i]}
links:
  - {between: [gpu, psw], link: pcie5}
  - {between: [psw, nic], link: pcie5}
  - {between: [nic, leaf], rate: 200Gb/s}
""")
        assert busbw(fabric, ranks=("node0/gpu0", "node1/gpu0")) == pytest.approx(25)
        assert busbw(fabric, "all-reduce", among="i0/gpu") == pytest.approx(25)

    @pytest.mark.parametrize("name", ["hgx-h100", "hgx-h200", "hgx-b200", "hgx-h800", "mi300x"])
    def test_one_gpu_of_a_server_has_one_card(self, name: str) -> None:
        fabric = loads(f"""
fabric: two-servers
include: {{fabric: {name}, over: {{node: 2}}}}
devices: {{leaf: {{kind: switch, axes: [slot]}}}}
links: [{{between: [nic, leaf], rate: 400Gb/s}}]
""")
        assert busbw(fabric, ranks=("node0/gpu0", "node1/gpu0")) == pytest.approx(50)

    @pytest.mark.parametrize("method", METHODS)
    def test_two_planes_are_ports_of_one_card(self, method: str) -> None:
        text = """
fabric: planes
axes: {node: 4, g: 2, plane: 2}
devices:
  gpu: {kind: gpu, axes: [node, g]}
  nic: {kind: nic, axes: [node, g]}
  leaf: {kind: switch, axes: [plane]}
links:
  - {between: [gpu, nic], rate: 100GB/s}
  - {between: [nic, leaf], rate: 25GB/s}
"""
        assert busbw(loads(text), method=method) == pytest.approx(50)
        # A card with one port left is up; messages from and to it have the one plane.
        half = loads(text + "failed: [[node0/nic0, plane0/leaf]]")
        assert busbw(half, method=method) == pytest.approx(25)

    @pytest.mark.parametrize("method", METHODS)
    def test_without_cards_nothing_changes(self, method: str) -> None:
        # Four ports of a GPU on four leaves carry one message together.
        fabric = loads("""
fabric: ports
axes: {node: 4, port: 4}
devices: {gpu: {kind: gpu, axes: [node]}, leaf: {kind: switch, axes: [port]}}
links: [{between: [gpu, leaf], rate: 50GB/s}]
""")
        assert busbw(fabric, method=method) == pytest.approx(200)


class TestDealt:
    """Near cards are dealt out, ceil(cards / GPUs) each."""

    @pytest.mark.parametrize("method", METHODS)
    def test_eight_gpus_and_two_cards(self, method: str) -> None:
        fabric = box(8, 2)
        # One GPU of each box sends to the next box: one card.
        assert busbw(fabric, method=method) == pytest.approx(50)
        # Each of 8 GPUs sends 8/16 of S to the other box: 4 S over two cards of 50 GB/s. busbw = 15/16 S/t.
        assert busbw(fabric, "all-to-all", method=method) == pytest.approx(15 / 16 * 100 / 4)
        # Eight rings, four on a card: the box has 100 GB/s.
        assert busbw(fabric, "all-reduce", algorithm="ring", method=method) == pytest.approx(100)

    def test_cards_are_dealt_among_all_gpus_of_the_box(self) -> None:
        # One rank a box beside a GPU that is no rank: 4 of 8 cards, behind 200 GB/s of PCIe.
        assert busbw(box(2, 8), ranks=("node0/gpu0", "node1/gpu0")) == pytest.approx(200)
        # Two ranks on four cards of a switch: two each, on different ones.
        ranks = tuple(f"node{n}/gpu{g}" for n in (0, 1) for g in (0, 1))
        assert busbw(box(2, 4), "all-to-all", ranks=ranks) == pytest.approx(3 / 4 * 200)

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize(("cards", "gbytes"), [(2, 100), (4, 200)])
    def test_cards_of_one_gpu_take_turns(self, method: str, cards: int, gbytes: float) -> None:
        # Two cards a GPU as in an NVL72 tray, four as in an AWS p5.
        fabric = loads(f"""
fabric: several
axes: {{node: 3, g: 2, card: {cards}}}
devices:
  gpu: {{kind: gpu, axes: [node, g], transit: relay}}
  nv: {{kind: switch, axes: [node]}}
  nic: {{kind: nic, axes: [node, g, card]}}
  leaf: {{kind: switch, axes: [card]}}
links:
  - {{between: [gpu, nv], rate: 900GB/s, net: scale-up}}
  - {{between: [gpu, nic], rate: 63GB/s}}
  - {{between: [nic, leaf], rate: 50GB/s}}
""")
        assert busbw(fabric, method=method) == pytest.approx(gbytes)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_failed_card(self, method: str) -> None:
        # Both GPUs of node 0 have the one card: 2 x S/2 leave over 50 GB/s. busbw = 3/4 S/t.
        fabric = box(2, 2, extra="failed: [node0/nic1]")
        assert busbw(fabric, "all-to-all", method=method) == pytest.approx(3 / 4 * 50)

    def test_a_gpu_without_its_card_has_one_of_the_others(self) -> None:
        # Three cards are left near to four GPUs: ceil(3/4) each, so GPU 3 is on card 0 beside GPU 0. Both
        # send S/2 to the other node. Dealt among those on that card alone, it had ceil(3/2).
        fabric = loads("""
fabric: four
axes: {node: 2, slot: 4}
devices:
  gpu: {kind: gpu, axes: [node, slot]}
  psw: {kind: switch, axes: [node]}
  nic: {kind: nic, axes: [node, slot]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [gpu, psw], rate: 200GB/s}
  - {between: [psw, nic], rate: 200GB/s}
  - {between: [nic, leaf], rate: 50GB/s}
failed: [node0/nic3]
""")
        assert busbw(fabric, "all-to-all") == pytest.approx(7 / 8 * 50)

    def test_boxes_that_lost_a_card_deal_out_those_that_are_left(self) -> None:
        # Cards 0, 2 and 3 of node 0: GPU 0 has 0 and 2, GPU 1 has 3 and 0, so card 0 has half of S/2
        # twice. Classes went by the numbers of the cards, and messages by turns kept to equal indices.
        fabric = box(2, 4, extra="failed: [node0/nic1]")
        assert busbw(fabric, "all-to-all") == pytest.approx(3 / 4 * 50 / (1 / 2))
        work = job(fabric, JobQuestion(method="links"))
        load = work.loads(Pattern("pairwise", "job")).on_link
        on_cards = load[np.array(work.links.rules)[work.links.rule] == "nic-leaf"] / load.max()
        assert sorted(on_cards.tolist()) == pytest.approx([0, 0, *[0.5] * 12, 1, 1])
        assert job(fabric, JobQuestion()).method == "links"

    def test_cards_that_are_left_meet_on_their_rails(self) -> None:
        # One GPU with four cards a socket, on rails. On classes the four of socket 0 were compared by the
        # index of the first, so that all messages to socket 1 met on rail 0; but a card of each rail does.
        fabric = loads("""
fabric: rails
axes: {node: 2, socket: 2, card: 4, k: 2}
devices:
  gpu: {kind: gpu, axes: [node, socket]}
  psw: {kind: switch, axes: [node, socket]}
  nic: {kind: nic, axes: [node, socket, card]}
  leaf: {kind: switch, axes: [socket, card]}
  spine: {kind: switch, axes: [k]}
links:
  - {between: [gpu, psw], rate: 400Gb/s}
  - {between: [psw, nic], rate: 800Gb/s}
  - {between: [nic, leaf], rate: 200Gb/s}
  - {between: [leaf, spine], rate: 100Gb/s}
failed: [node0/socket1/nic0, node0/socket1/nic3, node1/socket1/nic3]
""")
        # To leaf 1 of socket 1, from socket 0: twice S/4 on two cards, twice S/4 on three, over two cables of
        # 100 Gb/s. What the GPUs of socket 1 send one another stays on its leaf.
        assert busbw(fabric, "all-to-all") == pytest.approx(gbps_to_gbytes(3 / 4 * 200 / (5 / 12)))

    @pytest.mark.parametrize("method", METHODS)
    def test_cards_without_a_cable_do_not_count(self, method: str) -> None:
        # Two of four cards are cabled, one a GPU.
        fabric = loads("""
fabric: dpus
axes: {node: 2, g: 2}
devices:
  gpu: {kind: gpu, axes: [node, g]}
  psw: {kind: switch, axes: [node], transit: pass}
  dpu: {kind: nic, axes: [node, g]}
  nic: {kind: nic, axes: [node, g]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [gpu, psw], rate: 200GB/s}
  - {between: [psw, dpu], rate: 200GB/s}
  - {between: [psw, nic], rate: 200GB/s}
  - {between: [nic, leaf], rate: 50GB/s}
""")
        assert busbw(fabric, "all-to-all", method=method) == pytest.approx(50)

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize(
        "other",
        [
            # As near and of the same index, but slower: NCCL takes the fastest (topo.cc, ncclTopoGetLocal).
            ("node, slot", "25GB/s"),
            # As near and as fast, but nobody's own.
            ("node", "50GB/s"),
        ],
        ids=["storage", "front-end"],
    )
    def test_other_cards_carry_nothing(self, method: str, other: tuple[str, str]) -> None:
        axes, rate = other
        fabric = loads(f"""
fabric: others
axes: {{node: 3, slot: 2}}
devices:
  gpu: {{kind: gpu, axes: [node, slot]}}
  psw: {{kind: switch, axes: [node, slot], transit: pass}}
  nic: {{kind: nic, axes: [node, slot]}}
  dpu: {{kind: nic, axes: [{axes}]}}
  leaf: {{kind: switch, axes: []}}
  front: {{kind: switch, axes: []}}
links:
  - {{between: [gpu, psw], rate: 200GB/s}}
  - {{between: [psw, nic], rate: 200GB/s}}
  - {{between: [psw, dpu], rate: 200GB/s}}
  - {{between: [nic, leaf], rate: 50GB/s}}
  - {{between: [dpu, front], rate: {rate}}}
""")
        work = job(fabric, JobQuestion(method=method))  # type: ignore[arg-type]
        load = work.loads(Pattern("pairwise", "job")).on_link
        on = np.array(work.links.rules)[work.links.rule] == "dpu-front"
        assert not load[on].any()
        assert busbw(fabric, "all-to-all", method=method) == pytest.approx(50)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_port_that_is_down_leaves_the_card_as_fast_as_its_kind(self, method: str) -> None:
        # Three planes; both GPUs keep a card of their own, one of them with two ports of 25 GB/s.
        fabric = loads("""
fabric: half
axes: {node: 2, g: 2, plane: 3}
devices:
  gpu: {kind: gpu, axes: [node, g]}
  psw: {kind: switch, axes: [node]}
  nic: {kind: nic, axes: [node, g]}
  leaf: {kind: switch, axes: [plane]}
links:
  - {between: [gpu, psw], rate: 200GB/s}
  - {between: [psw, nic], rate: 200GB/s}
  - {between: [nic, leaf], rate: 25GB/s}
failed: [[node0/nic0, plane0/leaf]]
""")
        # Half of S leaves each GPU for the other node, of GPU 0 over 50 GB/s. busbw = 3/4 S/t.
        assert busbw(fabric, "all-to-all", method=method) == pytest.approx(3 / 4 * 50 / (1 / 2))

    @pytest.mark.parametrize("method", METHODS)
    def test_the_nearest_card_of_a_socket(self, method: str) -> None:
        # A card a socket; the CPUs are joined, so that the other one is farther.
        fabric = loads("""
fabric: sockets
axes: {node: 2, socket: 2, g: 4}
devices:
  gpu: {kind: gpu, axes: [node, socket, g]}
  cpu: {kind: host, axes: [node, socket], transit: turn}
  nic: {kind: nic, axes: [node, socket]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [gpu, cpu], rate: 50GB/s}
  - {between: [cpu, cpu], mesh: socket, rate: 100GB/s}
  - {between: [cpu, nic], rate: 100GB/s}
  - {between: [nic, leaf], rate: 50GB/s}
""")
        # Four GPUs of a socket share their card: 4 x 8/16 S. busbw = 15/16 S/t.
        assert busbw(fabric, "all-to-all", method=method) == pytest.approx(15 / 16 * 50 / 2)
        assert busbw(fabric, method=method) == pytest.approx(50)

    @pytest.mark.parametrize("method", METHODS)
    def test_two_gpus_that_only_their_card_joins(self, method: str) -> None:
        # A message between them goes to the leaf and back: 2/3 of what each sends crosses anyway.
        fabric = loads("""
fabric: shared
axes: {node: 2, g: 2}
devices:
  gpu: {kind: gpu, axes: [node, g]}
  nic: {kind: nic, axes: [node]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [gpu, nic], rate: 100GB/s}
  - {between: [nic, leaf], rate: 50GB/s}
""")
        # Each of the two sends 3/4 of S: busbw = 3/4 S/t, t = 1.5 S / 50.
        assert busbw(fabric, "all-to-all", method=method) == pytest.approx(25)

    def test_three_cards_and_two_gpus(self) -> None:
        # ceil(3 / 2) each: cards 0 and 1, then 2 and 0. Half of S leaves each GPU, a quarter on each card of
        # its two, so that card 0 carries S/2. busbw = 3/4 S/t.
        assert busbw(box(2, 3), "all-to-all", method="links") == pytest.approx(75)

    def test_ranks_with_ports_of_their_own_beside_such_with_cards(self) -> None:
        fabric = loads("""
fabric: mixed
axes: {a: 2, b: 2}
devices:
  gpu: {kind: gpu, axes: [a]}
  server: {kind: gpu, axes: [b]}
  nic: {kind: nic, axes: [b]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [gpu, leaf], rate: 50GB/s}
  - {between: [server, nic], rate: 50GB/s}
  - {between: [nic, leaf], rate: 25GB/s}
""")
        assert busbw(fabric, "all-to-all", ranks=("gpu0", "gpu1", "server0", "server1")) == pytest.approx(25)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_node_without_a_card_is_named(self, method: str) -> None:
        fabric = box(2, 2, extra="failed: [node0/nic]")
        found = cost(fabric, "all-to-all", "1GB", method=method, calibration="wire")
        assert found.status == "cut off"
        assert {who.endpoint for who in found.cut_off} <= {
            f"node{i}/gpu{j}" for i in range(2) for j in range(2)
        }


class TestRelays:
    """Where the network does not join two cards, the sender relays (PXN); see nccl#836."""

    @pytest.mark.parametrize("method", METHODS)
    def test_rails_without_a_spine(self, method: str) -> None:
        # What crosses rails goes over NVLink first: 12 of 16 parts leave each card of 50 GB/s.
        assert busbw(rails(), "all-to-all", algorithm="pairwise", method=method) == pytest.approx(62.5)
        with pytest.raises(QuestionError, match="no permitted path"):
            busbw(rails(), "all-to-all", algorithm="pairwise", method=method, routing="rail-direct")

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("nodes", [3, 5])
    def test_a_ring_of_an_odd_number_of_nodes_changes_the_rail(self, method: str, nodes: int) -> None:
        # Rings alternate over rails; what closes one goes from rail 0 to rail 1 (NCCL, connect.cc).
        assert busbw(rails(nodes=nodes), "all-reduce", algorithm="ring", method=method) == pytest.approx(200)
        with pytest.raises(QuestionError, match="no permitted path"):
            busbw(rails(nodes=nodes), "all-reduce", algorithm="ring", method=method, routing="rail-direct")
        # Over a spine it needs no relay, and an even number of nodes no spine.
        spine, even = rails(nodes=nodes, spine=True), rails(nodes=nodes + 1)
        for fabric in (spine, even):
            found = busbw(fabric, "all-reduce", algorithm="ring", method=method, routing="rail-direct")
            assert found == pytest.approx(200)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_root_sends_by_the_rails_of_its_mates(self, method: str) -> None:
        # 12 of 16 parts leave node 0, three on each rail of 50 GB/s: busbw = 15/16 S / (3/16 S / 50).
        assert busbw(rails(), "scatter", method=method) == pytest.approx(250)
        # To the root all come in by its own card, whose rail they change to before: 12/16 S.
        assert busbw(rails(), "gather", method=method) == pytest.approx(15 / 16 * 50 / (12 / 16))

    @pytest.mark.parametrize("routing", ["rail", "rail-direct"])
    @pytest.mark.parametrize("sizes", [(4, 2), (2, 4, 1, 3)])
    def test_domains_of_unequal_size_by_a_listing_of_every_message(
        self, sizes: tuple[int, ...], routing: str
    ) -> None:
        """Each of n ranks has S/n for every other; a mate on the receiver's rail takes it, where one is."""
        ranks = [(node, slot) for node, size in enumerate(sizes) for slot in range(size)]
        busy: dict[tuple[str, int, int], int] = {}
        for (node, slot), (to, rail) in itertools.permutations(ranks, 2):
            if node == to:
                continue
            own = rail if routing == "rail" and rail < sizes[node] else slot
            uplinks = [("up", own, 0), ("down", rail, 0)] if own != rail else []
            for cable in (("out", node, own), ("in", to, rail), *uplinks):
                busy[cable] = busy.get(cable, 0) + 1
        # 50 GB/s a card, and four such cables from each leaf to the spine.
        most = max(n / (200 if way in ("up", "down") else 50) for (way, *_), n in busy.items())
        absent = ", ".join(
            f"node{node}/slot{slot}/{kind}"
            for node, size in enumerate(sizes)
            for slot in range(size, 4)
            for kind in ("gpu", "nic")
        )
        fabric = rails(nodes=len(sizes), spine=True, extra=f"absent: [{absent}]")
        found = busbw(fabric, "all-to-all", algorithm="pairwise", routing=routing)
        assert found == pytest.approx((len(ranks) - 1) / most)

    @pytest.mark.parametrize("method", METHODS)
    def test_rail_direct_refuses_pxn(self, method: str) -> None:
        # NCCL_PXN_DISABLE=1: no GPU relays, so the all-to-all over mates cannot run.
        fabric = rails(spine=True)
        with pytest.raises(
            QuestionError, match="pxn cannot run: needs GPUs that relay; with routing rail-direct"
        ):
            busbw(fabric, "all-to-all", algorithm="pxn", routing="rail-direct", method=method)
        answer = cost(
            fabric,
            "all-to-all",
            "1GiB",
            algorithm="all",
            routing="rail-direct",
            method=method,  # type: ignore[arg-type]
            is_bounded=False,
            calibration="wire",
        )
        assert "pxn" not in {one.algorithm for one in answer.algorithms}
        assert "relay" in dict(answer.refused)["pxn"]

    def test_the_sender_relays(self) -> None:
        # From GPU 0 of node 0 to GPU 1 of node 1: by GPU 1 of its own node, not by GPU 0 of the target's.
        e = expand(rails())
        names = list(e.names)
        source, target = (np.array([names.index(name)]) for name in ("node0/gpu0", "node1/gpu1"))
        found = message_loads(Messages(e, e.is_endpoint), Demands(source, target, np.ones(1)))
        busy = {(names[e.tail[b]], names[e.head[b]]) for b in (np.flatnonzero(found) // 2).tolist()}
        assert busy == {
            ("node0/gpu0", "nv0"),
            ("node0/gpu1", "nv0"),
            ("node0/gpu1", "node0/nic1"),
            ("node0/nic1", "leaf1"),
            ("node1/nic1", "leaf1"),
            ("node1/gpu1", "node1/nic1"),
        }

    @pytest.mark.some(1)
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("spine", [False, True])
    def test_a_failed_card_is_shared_out(self, method: str, spine: bool) -> None:
        # Four rings on the three cards that are left of one node: 3 x 50 GB/s for it.
        fabric = rails(spine=spine, extra="failed: [node0/nic1]")
        assert busbw(fabric, "all-reduce", algorithm="ring", method=method) == pytest.approx(150)

    @pytest.mark.parametrize("routing", ["ecmp", "rail", "adaptive"])
    @pytest.mark.parametrize("method", METHODS)
    def test_all_routings_share_the_stage(self, routing: str, method: str) -> None:
        assert busbw(box(8, 2), method=method, routing=routing) == pytest.approx(50)


class TestNotes:
    """The answer says where it counts differently."""

    def notes(self, fabric: Fabric, **asked: object) -> tuple[str, ...]:
        asked = {"algorithm": "ring", "is_bounded": False, **asked}
        return cost(fabric, "all-reduce", "1GiB", **asked, calibration="wire").notes  # type: ignore[arg-type]

    def test_cards_are_dealt_among_all(self) -> None:
        some = ("node0/gpu0", "node1/gpu0")
        assert any("NCCL counts those that are ranks" in note for note in self.notes(box(2, 2), ranks=some))
        assert any(
            "NCCL counts those that are ranks" in note for note in self.notes(box(2, 2), among="g0/gpu")
        )
        assert self.notes(box(2, 2)) == ()
        # Whole boxes share with nobody.
        whole = tuple(f"node{n}/gpu{g}" for n in (0, 1) for g in (0, 1))
        assert self.notes(box(2, 2, nodes=3), ranks=whole) == ()

    def test_with_something_down_ranks_are_numbered_in_all_ways(self) -> None:
        fabric = rails(extra="failed: [node0/nic1]")
        note = "something is down: on classes the ranks are numbered in all ways"
        assert any(n.startswith(note) for n in self.notes(fabric))
        assert self.notes(fabric, method="links") == ()
        assert self.notes(rails()) == ()
        # All to all is the same in every numbering.
        exchange = cost(
            fabric, "all-to-all", "1GiB", algorithm="pairwise", is_bounded=False, calibration="wire"
        )
        assert not any(n.startswith(note) for n in exchange.notes)

    def test_ideal_routes_are_free(self) -> None:
        assert self.notes(box(2, 2), routing="ideal") == (
            "ideal routes take any cards; a library puts a message on one",
        )


def test_shipped_boxes_keep_all_their_cards() -> None:
    # Every published row of a collective as a whole uses every card: see tests/test_published_collectives.py.
    fabric = load("topologies/measured/h100-12-node.fabric.yaml")
    assert busbw(fabric, "all-reduce", algorithm="ring") == pytest.approx(400)
