"""Marks on words in a terminal: colours that colour-blind readers can tell apart."""

from lstm_jax.explanations import level_of

# Between letters of some scripts and parts of a picture.
_JOINERS = "\u200c\u200d"
# Spaces by Unicode that move the cursor of a terminal, or end a line of it.
_STEERING = "\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029"
_RESET = "\x1b[0m"
# Blue, and orange with a line: by the number of the 256 that terminals share.
_FOR = ("\x1b[38;5;33m", "\x1b[1;38;5;33m", "\x1b[1;7;38;5;33m")
_AGAINST = ("\x1b[4;38;5;208m", "\x1b[1;4;38;5;208m", "\x1b[1;4;7;38;5;208m")


def mark(word: str, effect: float, highest: float, coloured: bool) -> str:
    """``word`` with a colour, or with a sign for each level of its effect.

    >>> mark("superb", 2.0, 2.0, coloured=False), mark("dull", -1.0, 2.0, False)
    ('superb{+++}', 'dull{--}')
    """
    level = level_of(effect, highest)
    if not level or not word:
        return word
    if coloured:
        style = _FOR if effect > 0 else _AGAINST
        return f"{style[level - 1]}{word}{_RESET}"
    return f"{word}{{{('+' if effect > 0 else '-') * level}}}"


def printable(text: str) -> str:
    r"""``text`` without what could steer a terminal, and without halves of characters.

    Lines stay lines, and what else is space is a space.

    >>> printable("a\u00a0b\x1b[2J") == "a b\ufffd[2J"
    True
    """
    return "".join(map(_printable, text))


def _printable(c: str) -> str:
    if c.isprintable() or c == "\n" or c in _JOINERS:
        return c
    return " " if c.isspace() and c not in _STEERING else "\N{REPLACEMENT CHARACTER}"
