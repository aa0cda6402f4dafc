"""Link layers: what plugs into what, over all network parts of the catalogue, in files and in designs."""

import itertools

import pytest

from fabric.blueprint.ports import layer_notes
from fabric.errors import TopologyError
from fabric.graph import loads
from fabric.parts import catalogue, shared_layers
from fabric.sizing import DesignError, design
from fabric.sizing.bom import bom

NETWORK = {
    part.id: port for part in catalogue().parts.values() for port in part.ports if port.name == "network"
}
SWITCHES = [name for name in NETWORK if catalogue().parts[name].kind == "switch"]
CARDS = [name for name in NETWORK if catalogue().parts[name].kind == "nic"]


def pod(leaf, spine, *, nic="kind: nic", down="rate: 100Gb/s", up="rate: 100Gb/s"):
    """Return a fabric of two leaves; the second rule stands on line 9."""
    return (
        "fabric: pod\n"
        "axes: {rack: 2, slot: 4}\n"
        "devices:\n"
        f"  nic:   {{{nic}, axes: [rack, slot], endpoint: true}}\n"
        f"  leaf:  {{{leaf}, axes: [rack]}}\n"
        f"  spine: {{{spine}, axes: []}}\n"
        "links:\n"
        f"  - {{between: [nic, leaf], {down}}}\n"
        f"  - {{between: [leaf, spine], {up}}}\n"
    )


def problem(text):
    with pytest.raises(TopologyError, match="link layers differ") as error:
        loads(text)
    (found,) = error.value.problems
    return found


def test_infiniband_under_ethernet_is_an_error():
    found = problem(pod("part: qm9700", "part: sn5600", up="rate: 400Gb/s"))
    assert (found.line, found.col) == (9, 15)
    assert str(found).startswith(
        "<text>:9:15: links.leaf-spine: link layers differ: qm9700 speaks InfiniBand, sn5600 speaks Ethernet"
    )


def pairs_of_switches():
    """Return every pair; the first of each two sorts of layers is quick."""
    seen, found = set(), []
    for pair in itertools.combinations_with_replacement(SWITCHES, 2):
        sort = frozenset(frozenset(NETWORK[name].layers) for name in pair)
        found.append(pytest.param(*pair, marks=[pytest.mark.slow] if sort in seen else []))
        seen.add(sort)
    return found


@pytest.mark.parametrize(("leaf", "spine"), pairs_of_switches())
def test_switches_join_where_they_share_a_layer(leaf, spine):
    layers = shared_layers(NETWORK[leaf], NETWORK[spine])
    assert bool(layers) == (NETWORK[leaf].layers.keys() == NETWORK[spine].layers.keys())
    rate = min(NETWORK[leaf].rate_gbps, NETWORK[spine].rate_gbps)
    text = pod(f"part: {leaf}", f"part: {spine}", down=f"rate: {rate}Gb/s", up=f"rate: {rate}Gb/s")
    if layers:
        assert bom(loads(text)).count("switch") == 3
    else:
        words = problem(text).what
        assert f"{leaf} speaks {' and '.join(NETWORK[leaf].layers)}" in words
        assert f"{spine} speaks {' and '.join(NETWORK[spine].layers)}" in words


@pytest.mark.some(10)
@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("leaf", ["sn5600", "q3400"])
def test_cards_take_the_layer_of_their_leaf(card, leaf):
    layers = shared_layers(NETWORK[card], NETWORK[leaf])
    fastest = max(layers.values(), default=NETWORK[card].rate_gbps)
    nic, leaf = f"part: {card}", f"part: {leaf}"
    text = pod(leaf, "kind: switch", nic=nic, down=f"rate: {fastest}Gb/s")
    if not layers:
        assert "speaks" in problem(text).what
        return
    loads(text)
    assert layer_notes(loads(text).blueprint) == ()
    if fastest < NETWORK[card].rate_gbps:
        fast = loads(pod(leaf, "kind: switch", nic=nic, down=f"rate: {NETWORK[card].rate_gbps}Gb/s"))
        (note,) = layer_notes(fast.blueprint)
        assert note == (
            "nic-leaf: a cable between cx8 and sn5600 has at most 400 Gb/s (50 GB/s) of Ethernet; "
            "800 Gb/s (100 GB/s) are several"
        )
        assert note in bom(fast).notes


def test_connectx_8_is_one_port_of_infiniband_or_two_of_ethernet():
    card = "part: cx8"
    loads(pod("part: q3400", "kind: switch", nic=card, down="rate: XDR"))
    loads(pod("part: sn5610", "kind: switch", nic=card, down="rate: 400Gb/s, count: 2"))
    # NVIDIA's tables count one connection of 800 Gb/s: it is not refused, and `check` says what it is.
    assert (
        len(layer_notes(loads(pod("part: sn5610", "kind: switch", nic=card, down="rate: 800Gb/s")).blueprint))
        == 1
    )


def test_generic_parts_are_free():
    for text in (
        pod("kind: switch", "part: sn5600", nic="part: efa_v2"),
        pod("part: qm9700", "kind: switch"),
    ):
        assert layer_notes(loads(text).blueprint) == ()
    # A gateway: what is generic speaks to both.
    gateway = pod("part: qm9700", "kind: switch") + "  - {between: [spine, top], rate: 100Gb/s}\n"
    both = loads(gateway.replace("links:", "  top: {part: sn5600, axes: []}\nlinks:"))
    assert layer_notes(both.blueprint) == ()


@pytest.mark.parametrize(
    ("protocol", "match"),
    [
        ("NDR", r"link layers differ: sn5600 speaks Ethernet, infiniband_ndr is InfiniBand"),
        ("efa_200g", r"link layers differ: sn5600 speaks Ethernet, efa_200g is EFA"),
    ],
)
def test_a_protocol_is_of_one_layer(protocol, match):
    text = pod("part: sn5600", "kind: switch", up=f"link: {protocol}")
    found = problem(text)
    assert found.what == match
    assert (found.line, found.col) == (9, 36)


def test_protocols_of_a_network_give_rate_and_class():
    fabric = loads(pod("part: qm9700", "part: qm9700", nic="part: cx7", down="link: ndr", up="link: HDR"))
    assert [(r.rate_gbps, r.net, r.port_class, r.medium) for r in fabric.blueprint.rules] == [
        (400, "scale-out", "network", ""),
        (200, "scale-out", "network", ""),
    ]
    loads(pod("kind: switch", "kind: switch", down="link: 400GbE", up="link: EDR"))


@pytest.mark.parametrize(
    ("leaf", "cables"), [("sn5610", (400.0, 2)), ("q3400", (800.0, 1)), ("64x800G", (800.0, 1))]
)
def test_design_takes_the_card_as_the_leaf_wants_it(leaf, cables):
    made = design(gpus=512, rack="hgx-b300", leaf=leaf)
    assert (made.request.cables.nic_gbps, made.request.cables.per_leaf) == cables
    assert made.cables["nic-leaf"] == 512 * cables[1]


@pytest.mark.parametrize(("leaf", "spine"), [("qm9700", "sn5600"), ("sn5600", "qm9700"), ("th5", "q3400")])
def test_design_refuses_mixed_tiers(leaf, spine):
    with pytest.raises(DesignError, match=f"link layers differ: {leaf} speaks .*, {spine} speaks "):
        design(gpus=2048, rack="hgx-h100", leaf=leaf, spine=spine, breakout="200G")
