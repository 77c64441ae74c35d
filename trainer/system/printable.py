"""Text that may be shown and kept: without characters that a terminal or a table would obey."""

import unicodedata

# What a cell begins with that a spreadsheet would run, in Japanese ones the wide forms too.
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "'")


def printable(text: str) -> str:
    r"""Returns `text` with every control character written as an escape, such as \x1b.

    So are characters that change the direction of text, and bytes that were no UTF-8. Different
    texts stay different, unless one already holds such an escape.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c)[0] == "C" else c for c in text)


def printable_lines(text: str) -> str:
    """Returns `text` with each of its lines printable."""
    return "\n".join(map(printable, text.split("\n")))


def cell(text: str) -> str:
    """Returns a cell that no spreadsheet takes for a formula: with an apostrophe before it.

    Source: https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"'{printable(text)}" if text.startswith(FORMULA) else printable(text)


def text_of_cell(content: str) -> str:
    """Returns the printable text of which `cell` has made a cell."""
    if content.startswith("'") and content[1:].startswith(FORMULA):
        return content[1:]
    return content


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
