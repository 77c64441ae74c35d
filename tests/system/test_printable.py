"""What is shown and stored holds nothing that a terminal, a table or a reader would obey."""

import pytest

from trainer.system.printable import cell, printable, text_of_cell


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Müller, 肺炎.png", "Müller, 肺炎.png"),
        ("a\u00a0b\u3000c", "a\u00a0b\u3000c"),  # wide and unbreakable spaces
        ("a\rb\n", "a\\rb\\n"),
        ("\x1b[2Jred", "\\x1b[2Jred"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        (b"\xff.png".decode("utf-8", "surrogateescape"), "\\udcff.png"),
    ],
)
def test_control_characters_become_escapes(text: str, shown: str):
    assert printable(text) == shown and printable(shown) == shown
    shown.encode()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1+1", "＠x", "'=1", "a=1"])
def test_a_formula_is_a_cell_of_text_and_comes_back(text: str):
    assert cell(text) == (text if text[0] == "a" else f"'{text}")
    assert text_of_cell(cell(text)) == text
