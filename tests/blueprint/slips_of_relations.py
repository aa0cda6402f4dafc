# A slip and its message are read side by side, however long.
# ruff: noqa: E501
"""Slips in references, axes and relations, each with the message that it must give."""

from tests.blueprint.slips import pod

REFERENCES = {
    "unknown part": (
        pod(top="{part: @@sn5601, axes: [spine]}"),
        "devices.top: unknown part 'sn5601'; did you mean",
    ),
    "unknown device": (
        pod(up="{between: [leaf, @@tops], rate: 1Gb/s}"),
        "no device group 'tops'; did you mean top",
    ),
    "unknown axis of a device": (
        pod(leaf="{kind: switch, axes: [slot, @@rak]}"),
        "unknown axis 'rak'; did you mean rack",
    ),
    "unknown axis of a product": (
        pod(axes="rack: 2, slot: 4, spine: 2, @@c: [rak, slot]"),
        "axes.c: unknown axis 'rak'",
    ),
    "unknown axis of a mesh": (
        pod(up="{between: [gpu, gpu], mesh: @@slots, rate: 1Gb/s}"),
        "unknown axis 'slots'",
    ),
    "unknown axis of a wiring": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: slots, pairs: [[0, 1]]}}"
        ),
        "unknown axis 'slots'; did you mean slot",
    ),
    "unknown axis of a twist": (
        pod(up="{between: [gpu, gpu], ring: slot, twist: @@{rak: 1}, rate: 1Gb/s}"),
        "axis 'rak'",
    ),
    "unknown axis of a count": (
        pod(up="{between: [leaf, top], count: @@{rak: [1, 2]}, rate: 1Gb/s}"),
        "axis 'rak'",
    ),
    "unknown axis of a selector": (
        pod(up="{between: [@@rak0/leaf, top], rate: 1Gb/s}"),
        "no axis 'rak'; did you mean",
    ),
    "unknown device, absent": (
        pod(tail="absent: [rack0/leaf, @@rack0/lef]\n"),
        "selector 'rack0/lef': no device group",
    ),
    "unknown device, failed": (
        pod(tail="failed: [@@lef0]\n"),
        "selector 'lef0': no device group 'lef'; did you mean leaf",
    ),
    "an axis for a device, failed": (
        pod(tail="failed: [@@rack0]\n"),
        "selector 'rack0' names no device group: rack is an axis; write 'rack0/\\*' for all devices there",
    ),
    "selector out of range": (
        pod(up="{between: [@@rack2/leaf, top], rate: 1Gb/s}"),
        "matches nothing: rack2 is beyond",
    ),
    "selector partly out of range": (
        pod(tail="absent: [@@gpu2-4]\n"),
        "slot4 is beyond the last index, slot3",
    ),
    "selector that runs backwards": (pod(tail="absent: [@@gpu3-2]\n"), "range 3-2 of slot runs backwards"),
    "selector with a padded index": (pod(tail="absent: [@@gpu01]\n"), "cannot read 'gpu01'; .*not padded"),
    "selector with the wrong axis": (
        pod(tail="absent: [@@slot1/leaf]\n"),
        "leaf has no axis slot; it is placed on rack",
    ),
    "selector with an axis twice": (pod(tail="absent: [@@slot1/gpu1]\n"), "axis slot is restricted twice"),
    "selector that excludes itself": (
        pod(axes="rack: 2, a: 2, b: 2, slot: [a, b], spine: 2", tail="absent: [@@a0/gpu2]\n"),
        "selector 'a0/gpu2' matches nothing: its terms exclude each other",
    ),
    "selector of no group": (
        pod(tail="absent: [@@slot1/spine1/*]\n"),
        "matches nothing: no device group has all",
    ),
    "star in front": (pod(tail='absent: [@@"*/gpu"]\n'), r"cannot read '\*' in selector '\*/gpu'"),
    "index of one device": (
        pod(devices="  one: {kind: host, axes: []}\n", tail="absent: [@@one1]\n"),
        "one is one device and has no index",
    ),
    "side without a group": (
        pod(up='{between: ["@@rack0/*", top], rate: 1Gb/s}').replace('"@@', '@@"'),
        "one device group",
    ),
    "unmatched side": (
        pod(
            axes="rack: 2, a: 2, b: 2, slot: [a, b], spine: 2",
            down="{between: [@@a0/gpu2, leaf], rate: 1Gb/s}",
        ),
        "selector 'a0/gpu2' matches nothing: its terms exclude each other",
    ),
}

AXES = {
    "axis that is itself": (
        pod(axes="rack: 2, slot: 4, spine: 2, @@c: [c, rack]"),
        "axis cycle: 'c' is part of itself",
    ),
    "axes of each other": (
        pod(axes="rack: 2, slot: 4, spine: 2, @@c: [d], d: [rack, e], e: [slot, c]"),
        "axis cycle: 'c'",
    ),
    "axis twice in a device": (
        pod(gpu="{kind: gpu, axes: @@[rack, slot, rack]}"),
        "axis 'rack' twice in device 'gpu'",
    ),
    "axis twice in a device, composed": (
        pod(axes="rack: 2, slot: 4, spine: 2, c: [slot, rack]", gpu="{kind: gpu, axes: @@[rack, c]}"),
        r"axis 'rack' twice in device 'gpu'; got \[rack, c\]",
    ),
    "axis twice in a product": (
        pod(axes="rack: 2, slot: 4, spine: 2, @@c: [rack, rack]"),
        "with 'rack' twice",
    ),
    "empty product": (
        pod(axes="rack: 2, slot: 4, spine: 2, c: @@[]"),
        "axes.c: a composed axis lists the names",
    ),
    "product with a number": (
        pod(axes="rack: 2, slot: 4, spine: 2, c: @@[rack, 2]"),
        "a composed axis lists the names",
    ),
}

RELATIONS = {
    "two relations": (
        pod(up="@@{between: [gpu, gpu], mesh: slot, ring: rack, rate: 1Gb/s}"),
        "more than one relation; got mesh and ring",
    ),
    "twist without a ring": (
        pod(up="@@{between: [gpu, gpu], mesh: slot, twist: {rack: 1}, rate: 1Gb/s}"),
        "twist without a ring",
    ),
    "twist that is no number": (
        pod(up="{between: [gpu, gpu], ring: slot, twist: {rack: @@1.5}, rate: 1Gb/s}"),
        "twist.rack: expected a whole",
    ),
    "mesh on one side": (
        pod(up="{between: [gpu, leaf], name: x, mesh: @@slot, rate: 1Gb/s}"),
        "relation axis 'slot' is not on both sides: leaf is placed on rack",
    ),
    "ring on one side": (
        pod(up="{between: [leaf, gpu], ring: @@slot, rate: 1Gb/s}"),
        "relation axis 'slot' is not on both sides",
    ),
    "line on neither side": (
        pod(up="{between: [leaf, leaf], line: @@slot, rate: 1Gb/s}"),
        "relation axis 'slot' is not on both sides",
    ),
    "twist of the ring's axis": (
        pod(up="{between: [gpu, gpu], ring: slot, twist: @@{slot: 1}, rate: 1Gb/s}"),
        "twist axis 'slot' need not agree",
    ),
    "twist of an axis of one side": (
        pod(up="{between: [gpu, leaf], name: x, ring: rack, twist: @@{slot: 1}, rate: 1Gb/s}"),
        "twist axis 'slot' need not agree",
    ),
    "twist of a pinned axis": (
        pod(up="{between: [rack0/gpu, rack1/gpu], ring: slot, twist: @@{rack: 1}, rate: 1Gb/s}"),
        "twist axis 'rack' need not agree on the two sides; both sides pin it",
    ),
    "one group without a relation": (
        pod(up="{between: @@[gpu, gpu], rate: 1Gb/s}"),
        r"gpu on both sides needs a relation, .*write such as \[rack0/gpu, rack1/gpu\]",
    ),
    "one group pinned together": (
        pod(up="{between: @@[slot1/gpu, gpu1], rate: 1Gb/s}"),
        "gpu on both sides needs a relation",
    ),
    "one group pinned on one side": (
        pod(up="{between: @@[slot1/gpu, gpu], rate: 1Gb/s}"),
        "gpu on both sides needs a relation",
    ),
    "side of three": (pod(up="{between: @@[gpu, leaf, top], rate: 1Gb/s}"), r"expected \[lower, upper\]"),
    "unknown pattern": (
        pod(up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: torus, along: slot}}"),
        "unknown pattern 'torus'; patterns are pairs, dragonfly, slim-fly",
    ),
    "pattern without its pairs": (
        pod(up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: slot}}"),
        "pattern pairs without pairs",
    ),
    "pairs that are no pairs": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: {pattern: pairs, along: slot, pairs: @@[[0, 1, 2]]}}"
        ),
        r"pairs\[0\] is not \[left index, right index\]",
    ),
    "pairs of no indices": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: {pattern: pairs, along: slot, pairs: @@[[0, 1], [0, x]]}}"
        ),
        r"pairs\[1\]: an index is a whole number",
    ),
    "pairs out of range": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: slot, pairs: [[0, 4]]}}"
        ),
        r"pairs\[0\]: index out of range; got 4; expected 0 to 3",
    ),
    "pairs with too few numbers": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: [rack, slot], pairs: [[0, [0, 1]]]}}"
        ),
        r"pairs\[0\]: an index needs one number for each axis of along; got 0; expected 2",
    ),
    "pair of one device": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: slot, pairs: [[1, 1]]}}"
        ),
        r"pairs\[0\] joins a device with itself",
    ),
    "pair twice": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: slot, pairs: [[0, 1], [1, 0]]}}"
        ),
        r"pairs\[1\] is pairs\[0\] again; use count",
    ),
    "wiring with an axis twice": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: @@{pattern: pairs, along: [slot, slot], pairs: [[[0, 1], [1, 0]]]}}"
        ),
        r"axis twice in wiring; got \[slot, slot\]",
    ),
    "ring of one": (
        pod(
            axes="rack: 2, slot: 1, spine: 2",
            down="{between: [gpu, leaf], rate: 1Gb/s}",
            links="  - {between: @@[gpu, gpu], ring: slot, rate: 1Gb/s}\n",
        ),
        "links.gpu-gpu: gpu-gpu joins nothing",
    ),
    "sides that a mesh keeps apart": (
        pod(up="{between: @@[rack0/leaf, rack0/leaf], mesh: rack, rate: 1Gb/s}"),
        "links.leaf-leaf: leaf-leaf joins nothing",
    ),
    "count list of the wrong length": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, count: @@{rack: [1, 2, 3]}}"),
        "count list of the wrong length for 'rack'; got 3; expected 2",
    ),
    "count list on the relation's axis": (
        pod(up="{between: [gpu, gpu], mesh: slot, rate: 1Gb/s, count: @@{slot: [1, 1, 1, 1]}}"),
        "count list on 'slot', an axis of the relation",
    ),
    "count list on the twist's axis": (
        pod(up="{between: [gpu, gpu], ring: slot, twist: {rack: 1}, rate: 1Gb/s, count: @@{rack: [1, 1]}}"),
        "count list on 'rack', an axis of the relation",
    ),
    "count list on an axis of neither side": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, count: @@{slot: [1, 1, 1, 1]}}"),
        "count list on 'slot', an axis of neither side",
    ),
    "count list on a pinned axis": (
        pod(up="{between: [rack0/gpu, rack1/leaf], name: x, rate: 1Gb/s, count: @@{rack: [1, 1]}}"),
        "count list on 'rack', which both sides pin",
    ),
    "count list of two axes": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, count: @@{rack: [1, 1], spine: [1, 1]}}"),
        "a count list has one axis",
    ),
    "count list that is empty": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, count: @@{rack: []}}"),
        "expected a list with one number per index of rack",
    ),
    "count list of zeros": (
        pod(up="{between: @@[leaf, top], rate: 1Gb/s, count: {rack: [0, 0]}}"),
        "leaf-top joins nothing",
    ),
    "each of the left side": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, each: [@@3, 2]}"),
        "each: wrong number of cables at leaf0; got 2; expected 3; leaf and top share no axis, so that every leaf is joined with every top",
    ),
    "each of the right side": (
        pod(up="{between: [leaf, top], rate: 1Gb/s, each: [2, @@3]}"),
        "each: wrong number of cables at top0; got 2; expected 3",
    ),
    "each of a mesh": (
        pod(up="{between: [gpu, gpu], mesh: slot, rate: 1Gb/s, each: @@9}"),
        "each: wrong number of cables at rack0/gpu0; .*; expected 9; check the size of slot, and the count",
    ),
    "each of a pattern": (
        pod(
            up="{between: [gpu, gpu], rate: 1Gb/s, wiring: {pattern: jellyfish, along: slot, degree: 2}, each: @@9}"
        ),
        "each: wrong number .*; check sizes, order of along and parameters of the pattern",
    ),
    "each of both sides": (
        pod(down="{between: [gpu, leaf], rate: 1Gb/s, each: @@1}"),
        "each: wrong number of cables at leaf0; got 4; expected 1",
    ),
    "each of a selector": (
        pod(links="  - {between: [rack1/gpu, top], rate: 1Gb/s, each: [@@1, 4]}\n"),
        "wrong number of cables at rack1/gpu0; got 2; expected 1",
    ),
    "each before absent": (
        pod(down="{between: [gpu, leaf], rate: 1Gb/s, each: [1, @@3]}", tail="absent: [gpu3]\n"),
        "wrong number of cables at leaf0; got 4; expected 3",
    ),
}
