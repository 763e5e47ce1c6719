"""What a page shows as printed by the program that stands on it is what that prints."""

import contextlib
import io
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_table_of_hands_is_what_its_program_prints() -> None:
    """From the zoo's cards: nobody has to keep the two alike by hand."""
    page = (DOCS / "hands.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert program
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program[1], "docs/hands.md", "exec"), {})
    rows = printed.getvalue().strip()
    assert rows.count("\n") >= 5 and f"\n\n{rows}\n\n" in page
