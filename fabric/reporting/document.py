"""A page as sections of text, pictures and folded parts, which Markdown and HTML are written of."""

from __future__ import annotations

from dataclasses import dataclass

from fabric.errors import QuestionError
from fabric.text.markdown import escape

PROVENANCE = "Provenance"


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG file and the sentence that it shows.

    Parameters
    ----------
    name : str
        Of the file, such as ``staircase.svg``.
    title, svg : str
    """

    name: str
    title: str
    svg: str


@dataclass(frozen=True, slots=True)
class Folded:
    """What a reader opens who wants to know more: a line of plain text, and CommonMark behind it."""

    title: str
    text: str


Block = str | Picture | Folded
"""Text is CommonMark; an empty one is left out."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading in plain text, and what stands below it."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def filled(self) -> tuple[Block, ...]:
        """The blocks that say something."""
        return tuple(block for block in self.blocks if _is_filled(block))


def _is_filled(block: Block) -> bool:
    return bool(block.text.strip() if isinstance(block, Folded) else block)


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Parameters
    ----------
    title : str
        In plain text.
    sections : tuple of Section
        The last one is the provenance.

    Raises
    ------
    QuestionError
        If it is not, or says nothing: nobody could tell where the figures come from.
    """

    title: str
    sections: tuple[Section, ...]

    def __post_init__(self) -> None:
        """Refuse a page without provenance."""
        last = self.sections[-1] if self.sections else None
        if last is None or last.title != PROVENANCE or not last.filled:
            msg = f"the page on {self.title} has no provenance as its last section; it is not written"
            raise QuestionError(msg)

    @property
    def told(self) -> tuple[Section, ...]:
        """The sections that say something."""
        return tuple(section for section in self.sections if section.filled)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures, in their order."""
        return tuple(b for section in self.told for b in section.filled if isinstance(b, Picture))

    def to_markdown(self) -> str:
        """Return the page as CommonMark, with pictures as files beside it."""
        blocks = [f"# {escape(self.title)}"]
        for section in self.told:
            blocks += [f"## {section.title}", *map(_markdown, section.filled)]
        return "\n\n".join(blocks) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Picture):
        return f"![{escape(block.title)}]({block.name})"
    if isinstance(block, Folded):
        # A blank line on either side, so that what is folded is read as CommonMark again.
        return f"<details><summary>{block.title}</summary>\n\n{block.text}\n\n</details>"
    return block
