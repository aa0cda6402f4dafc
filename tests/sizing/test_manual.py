"""The manual of the designer shows what it prints."""

import doctest
from pathlib import Path

from fabric.sizing.arguments import DesignArguments, arguments_of


def test_examples_of_the_manual_are_real():
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    page = Path(__file__).parents[2] / "docs/design.md"
    text = page.read_text().replace("```", "")
    examples = doctest.DocTestParser().get_doctest(text, {}, "design.md", str(page), 0)
    assert len(examples.examples) > 8
    assert doctest.DocTestRunner(optionflags=flags).run(examples).failed == 0


def test_table_of_arguments_is_that_of_the_program():
    page = (Path(__file__).parents[2] / "docs/design.md").read_text()
    rows = [
        f"| `{name}` | {what.about} | {what.default or 'needed'} |"
        for name, what in arguments_of(DesignArguments).items()
    ]
    assert len(rows) > 20
    assert "\n".join(["|---|---|---|", *rows]) in page
