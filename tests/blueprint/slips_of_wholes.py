# A slip and its message are read side by side, however long.
# ruff: noqa: E501
"""What only the whole shows: ports that do not suffice, islands, cables that are not there."""

from tests.blueprint.slips import pod

SWITCH = "{part: sn5600, axes: [rack]}"
PORTS = {
    "more cables than ports": (
        pod(
            axes="rack: 2, slot: 65, spine: 2",
            leaf=SWITCH,
            down="{between: [gpu, @@leaf], rate: 800Gb/s}",
            up="{between: [gpu, top], rate: 1Gb/s}",
        ),
        "links.gpu-leaf: port budget: leaf0 needs 65 network ports; got 65 cables of 800 Gb/s .*; expected at most 64 of 800 Gb/s .*, all that sn5600 has; place leaf",
    ),
    "more cables than ports, two rules": (
        pod(
            axes="rack: 2, slot: 63, spine: 2",
            leaf=SWITCH,
            down="{between: [gpu, leaf], rate: 800Gb/s}",
            up="{between: [@@leaf, top], rate: 800Gb/s}",
        ),
        "links.leaf-top: port budget: leaf0 needs 65 network ports; got 65 cables of 800",
    ),
    "breakout takes whole cages": (
        pod(
            axes="rack: 2, slot: 63, spine: 3",
            leaf=SWITCH,
            down="{between: [gpu, leaf], rate: 800Gb/s}",
            up="{between: [@@leaf, top], rate: 400Gb/s}",
        ),
        "needs 65 network ports; got 63 cables of 800 Gb/s .* and 3 cables of 400 Gb/s",
    ),
    "twin ports break out together": (
        pod(
            axes="rack: 2, slot: 63, spine: 1",
            leaf="{part: qm9700, axes: [rack]}",
            down="{between: [gpu, leaf], rate: 400Gb/s}",
            up="{between: [@@leaf, top], rate: 200Gb/s}",
        ),
        "needs 65 network ports; got 63 cables of 400 Gb/s .* and 1 cable of 200 Gb/s",
    ),
    "a NIC with two cables": (
        pod(
            gpu="{part: cx7, axes: [rack, slot]}",
            down="{between: [gpu, leaf], rate: 400Gb/s}",
            up="{between: [@@gpu, top], rate: 400Gb/s}",
        ),
        "rack0/gpu0 needs 3 network ports; got 3 cables of 400 Gb/s .*; expected at most 1 of 400",
    ),
    "port slower than its cable": (
        pod(leaf=SWITCH, up="{between: [leaf, top], rate: @@1600Gb/s}"),
        "cable faster than the network port of sn5600; got 1.6 Tb/s .*; expected at most 800 Gb/s",
    ),
    "port slower than its protocol": (
        pod(
            gpu="{part: h100_sxm5, axes: [rack, slot]}",
            links="  - {between: [gpu, top], link: @@pcie6}\n",
            down="{between: [gpu, leaf], link: nvlink4}",
        ),
        "cable faster than the pcie port of h100_sxm5; got 968 Gb/s .*; expected at most 504 Gb/s",
    ),
    "no port for the protocol": (
        pod(leaf=SWITCH, up="{between: [leaf, top], link: @@nvlink5}"),
        "unclear port class: sn5600 has no nvlink5 port; its ports are network",
    ),
    "no port at all": (
        pod(
            gpu="{part: graviton5, axes: [rack, slot], endpoint: true}",
            down="{between: @@[gpu, leaf], rate: 800Gb/s}",
        ),
        "graviton5 has no port in the catalogue; write kind: host instead of the part",
    ),
    "no port in common": (
        pod(
            gpu="{part: v100_sxm, axes: [rack, slot]}",
            leaf=SWITCH,
            down="{between: @@[gpu, leaf], rate: 100Gb/s}",
        ),
        "unclear port class: the parts share none; got v100_sxm with nvlink2, pcie and sn5600 with network; name the protocol",
    ),
    "several ports in common": (
        pod(
            gpu="{part: h100_sxm5, axes: [rack, slot]}",
            leaf="{part: h200_sxm, axes: [rack]}",
            down="{between: @@[gpu, leaf], rate: 100Gb/s}",
            up="{between: [leaf, top], link: pcie5}",
        ),
        "unclear port class; got h100_sxm5 with nvlink4, pcie and h200_sxm with nvlink4, pcie",
    ),
    "several ports against a generic device": (
        pod(gpu="{part: h100_sxm5, axes: [rack, slot]}", down="{between: @@[gpu, leaf], rate: 100Gb/s}"),
        "unclear port class; got h100_sxm5 with nvlink4, pcie",
    ),
}

WHOLE = {
    "more islands than said": (
        "@@"
        + pod(
            links="  - {between: [gpu, leaf], rate: 400Gb/s, name: x}\n",
            up="{between: [rack0/leaf, top], rate: 400Gb/s}",
        ),
        "endpoints in more islands than the file says; got 2; expected 1; one endpoint of each: rack0/gpu0, rack1/gpu0; join them, or say islands: 2",
    ),
    "more islands than two": (
        pod(
            axes="rack: 3, slot: 4, spine: 2",
            up="{between: [rack0/leaf, top], rate: 400Gb/s}",
            tail="islands: @@2\n",
        ),
        "more islands than the file says; got 3; expected 2",
    ),
    "fewer islands than said": (
        pod(tail="islands: @@2\n"),
        "fewer islands than the file says; got 1; expected 2; say islands: 1",
    ),
    "an endpoint out of reach": (
        pod(up="{between: [top, leaf], rate: 400Gb/s}").replace("gpu: {", "@@gpu: {"),
        "devices.gpu: rack0/gpu0 cannot reach rack1/gpu0 under the path rules; got 4 gpu out of reach; check which side",
    ),
    "endpoints out of reach through a NIC": (
        pod(top="{kind: nic, axes: [spine]}").replace("gpu: {", "@@gpu: {"),
        "rack0/gpu0 cannot reach rack1/gpu0 under the path rules",
    ),
    "a one-way rule": (
        pod(down="{between: [gpu, leaf], rate: 400Gb/s, oneway: true}").replace("gpu: {", "@@gpu: {"),
        "cannot reach rack0/gpu1",
    ),
    "failed cables that do not exist": (
        pod(tail="failed: [@@[gpu, top]]\n"),
        r"failed\[0\]: no cable between gpu and top",
    ),
    "failed cables of an absent device": (
        pod(tail="absent: [rack1/gpu3]\nfailed: [@@[rack1/gpu3, leaf]]\n"),
        "no cable between rack1/gpu3 and leaf",
    ),
    "too many failed cables": (
        pod(tail="failed: [@@[rack0/gpu, leaf, 5]]\n"),
        "more failed cables than there are between rack0/gpu and leaf; got 5; expected at most 4",
    ),
    "failed cable of four": (
        pod(tail="failed: [@@[gpu, leaf, 1, 2]]\n"),
        r"expected a selector, \[selector, selector\]",
    ),
}
