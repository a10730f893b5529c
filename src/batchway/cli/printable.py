"""Text of others, made fit for a terminal."""


def printable(text: str, max_chars: int = 500) -> str:
    """`text` in one line, cut to `max_chars`, with whatever a terminal might obey written as its code.

    That is: control characters (also those from 0x80 to 0x9f), line ends, and the invisible ones that
    turn the direction of writing.
    """
    if len(text) > max_chars:
        text = text[: max_chars - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _code(char) for char in text)


def _code(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
