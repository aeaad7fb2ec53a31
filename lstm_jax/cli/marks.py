"""Marks on words in a terminal: colours that colour-blind readers can tell apart."""

# Shares of the strongest effect from which on a word is marked, as on the pages.
_LEVELS = (0.2, 0.45, 0.75)
_RESET = "\x1b[0m"
# Blue, and orange with a line: by the number of the 256 that terminals share.
_FOR = ("\x1b[38;5;33m", "\x1b[1;38;5;33m", "\x1b[1;7;38;5;33m")
_AGAINST = ("\x1b[4;38;5;208m", "\x1b[1;4;38;5;208m", "\x1b[1;4;7;38;5;208m")


def mark(word: str, effect: float, highest: float, coloured: bool) -> str:
    """``word`` with a colour, or with a sign for each level of its effect.

    >>> mark("superb", 2.0, 2.0, coloured=False), mark("dull", -1.0, 2.0, False)
    ('superb{+++}', 'dull{--}')
    """
    level = sum(abs(effect) >= share * highest for share in _LEVELS) if effect else 0
    if not level or not word:
        return word
    if coloured:
        style = _FOR if effect > 0 else _AGAINST
        return f"{style[level - 1]}{word}{_RESET}"
    return f"{word}{{{('+' if effect > 0 else '-') * level}}}"


def printable(text: str) -> str:
    """``text`` without what could steer a terminal, and without halves of characters.

    Lines stay lines.
    """
    return "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
