"""Names and words that would take the room of all others."""

_WIDTH = 17


def shorten(name: str) -> str:
    """The beginning and the end, by which names of a kind differ.

    >>> shorten("comp.sys.ibm.pc.hardware"), shorten("very  good")
    ('comp.sys…hardware', 'very good')
    """
    name = " ".join(name.split())
    return name if len(name) <= _WIDTH else f"{name[:8]}…{name[-8:]}"
