"""The manual of the designer shows what it prints."""

import doctest
from pathlib import Path


def test_examples_of_the_manual_are_real():
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    page = Path(__file__).parents[2] / "docs/design.md"
    text = page.read_text().replace("```", "")
    examples = doctest.DocTestParser().get_doctest(text, {}, "design.md", str(page), 0)
    assert len(examples.examples) > 8
    assert doctest.DocTestRunner(optionflags=flags).run(examples).failed == 0
