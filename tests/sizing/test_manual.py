"""The table of arguments in the manual of the designer is that of the program."""

from pathlib import Path

from fabric.sizing.arguments import DesignArguments, arguments_of


def test_table_of_arguments_is_that_of_the_program():
    page = (Path(__file__).parents[2] / "docs/design.md").read_text()
    rows = [
        f"| `{name}` | {what.about} | {what.default or 'needed'} |"
        for name, what in arguments_of(DesignArguments).items()
    ]
    assert len(rows) > 20
    assert "\n".join(["|---|---|---|", *rows]) in page
