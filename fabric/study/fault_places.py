"""Where the other ends of faulty cables are: what they share by the axes of the file: ``plane1/spine``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from fabric.interop.matching import Fault, Matching


class FaultPlaces:
    """The devices at the other ends of cables of some nodes, as planned and as found.

    Parameters
    ----------
    comparison : Matching
    nodes : collection of str
        Whose cables are asked for.
    """

    def __init__(self, comparison: Matching, nodes: Collection[str]) -> None:
        self._comparison = comparison
        self._planned: dict[str, set[str]] = defaultdict(set)
        self._devices: dict[str, set[str]] = defaultdict(set)
        wanted = set(nodes)
        for cable in comparison.plan:
            for near, far in ((cable.a, cable.z), (cable.z, cable.a)):
                if near.node in wanted:
                    self._planned[near.node].add(far.device)
                    self._devices[far.node].add(far.device)

    def of(self, node: str, faults: Sequence[Fault]) -> tuple[str, str]:
        """Return where cables of a node go, and where they were planned to go instead.

        Returns
        -------
        tuple of str
            Each as what its devices share, ``plane1/spine``; the first is empty where cables are missing.
            Both are empty where they say nothing: the same of both, the same of all cables of the node, or
            the end of a single cable that is missing.
        """
        planned = set(self._planned_of(node, faults))
        found = list(self._found_of(node, faults))
        if not planned or "" in found:
            return "", ""
        if not found:
            if len(faults) == 1:
                return "", ""
            whole = {device for device in self._planned[node] if _group(device) in set(map(_group, planned))}
            due = _shared(planned)
            return "", "" if due == _shared(whole) else due
        return _apart(planned, set(found))

    def _planned_of(self, node: str, faults: Iterable[Fault]) -> Iterator[str]:
        for text in (text for fault in faults for text in fault.planned):
            cable = self._comparison.cable_of_text.get(text)
            if cable is not None:
                ends = ((cable.a, cable.z), (cable.z, cable.a))
                yield from (far.device for near, far in ends if near.node == node)

    def _found_of(self, node: str, faults: Iterable[Fault]) -> Iterator[str]:
        """Yield devices; an empty one where it is not known, as at a card that has no such port."""
        for text in (text for fault in faults for text in fault.found):
            a, z = self._comparison.ends_of_text.get(text, (("", ""), ("", "")))
            for near, far in ((a, z), (z, a)):
                if near[0] == node:
                    others = self._devices.get(far[0], set())
                    yield self._comparison.device.get(far) or (next(iter(others)) if len(others) == 1 else "")


def _group(device: str) -> str:
    """Return the group of a device: names of groups end in a letter."""
    return device.rpartition("/")[2].rstrip("0123456789")


def _shared(devices: Iterable[str]) -> str:
    """Return the words that devices of one group share, and the group; nothing for several groups.

    Examples
    --------
    >>> _shared(["plane1/spine0", "plane1/spine2"]), _shared(["plane1/spine0"])
    ('plane1/spine', 'plane1/spine0')
    """
    few = set(devices)
    groups = set(map(_group, few))
    if len(groups) != 1:
        return ""
    words = [set(at) for at in zip(*(device.split("/") for device in few), strict=True)]
    *heads, last = (next(iter(at)) if len(at) == 1 else "" for at in words)
    return "/".join([*filter(None, heads), last or groups.pop()])


def _apart(planned: set[str], found: set[str]) -> tuple[str, str]:
    """Return what devices that were found share and those that were planned do not, and the other way.

    Examples
    --------
    >>> _apart({"plane0/spine3", "plane0/spine4"}, {"plane1/spine3", "plane1/spine4"})
    ('plane1/spine', 'plane0/spine')
    >>> _apart({"leaf0", "leaf1"}, {"leaf1", "leaf0"})
    ('', '')
    """
    there, due = _shared(found), _shared(planned)
    return ("", "") if there == due or not there or not due else (there, due)
