"""What the channels of a library move at most, however fast the links are.

NCCL lays as many channels as the cards of a node carry, each worked by thread blocks of its GPUs. A tree adds
and passes on in every one of them, and so moves less a channel than the card may carry::

    2 x 8 A100, four cards of 200 Gb/s    4 channels x 23.6 GB/s    tree  88 GB/s of busbw, ring 95
    2 x 8 A100, four cards of 100 Gb/s    4 channels x 23.6 GB/s    tree  88,               ring 48

On two nodes a tree sends every byte once each way, half of what a ring sends: where the cards are the limit
it is twice as fast, and where its channels are it is not.
"""

from __future__ import annotations

from fabric.blueprint.remembered import remembered
from fabric.errors import LimitError, QuestionError
from fabric.graph import Fabric
from fabric.job.question import JobQuestion, ranks_group
from fabric.nccl import COLLECTIVES, Machine, channels_gb_s, machine, node_of
from fabric.schedule.algorithms import Shape

CHANNELS = "NCCL channels"
"""What binds where no link does; rules have no spaces in their names."""


def channel_limit_gb_s(
    fabric: Fabric, question: JobQuestion, shape: Shape, collective: str, algorithm: str
) -> float | None:
    """Return the algbw that the channels of NCCL allow an algorithm, or None where none is known [GB/s].

    Parameters
    ----------
    fabric : Fabric
    question : JobQuestion
    shape : Shape
        Of the job of the question.
    collective, algorithm : str
    """
    nccl_machine = _machine(fabric, question, shape) if collective in COLLECTIVES else None
    return None if nccl_machine is None else channels_gb_s(nccl_machine, collective, algorithm)


@remembered(16)
def _machine(fabric: Fabric, question: JobQuestion, shape: Shape) -> Machine | None:
    """Return the machine that NCCL sees, or None where it would see none."""
    if fabric.blueprint is None:
        return None
    # Where NCCL's model does not know the hardware, no limit is known either: links alone set the time.
    try:
        node, n = node_of(fabric.blueprint, ranks_group(fabric, question), shape, among=question.among)
        return machine(node, n)
    except (QuestionError, LimitError):
        return None
