"""Copies of a text among other texts."""

import html
import re
from collections.abc import Iterable

_BREAK = re.compile(r"<br ?/?>")


def plain(text: str) -> str:
    """A review without what copies of it differ in.

    >>> plain("Great.<br /><br />  Film") == plain("great. film")
    True
    """
    return " ".join(html.unescape(_BREAK.sub(" ", text)).lower().split())


def without_copies(texts: Iterable[str], of: Iterable[str]) -> tuple[str, ...]:
    """Those of ``texts`` that are no copy of one of ``of``, in their order.

    >>> without_copies(["A film.", "Another."], of=["a  FILM."])
    ('Another.',)
    """
    known = {plain(text) for text in of}
    return tuple(text for text in texts if plain(text) not in known)
