"""Which of two representations a client prefers. Source: RFC 9110, section 12.5.1."""

_PAGE = ("text/html", "text/*", "*/*")
_DOCUMENT = ("application/json", "application/*", "*/*")


def prefers_json(accept: str) -> bool:
    """Whether an Accept header puts JSON before HTML. HTML is what those get who do not care."""
    weights = dict(_ranges(accept))
    return _weight(_DOCUMENT, weights) > _weight(_PAGE, weights)


def _ranges(accept: str) -> list[tuple[str, float]]:
    """Each media range with its weight."""
    found = []
    for part in accept.lower().split(","):
        media_range, *parameters = (word.strip() for word in part.split(";"))
        weights = [word[2:] for word in parameters if word.startswith("q=")]
        found.append((media_range, _number(weights[0]) if weights else 1.0))
    return found


def _number(text: str) -> float:
    """A weight; 0, which is never preferred, for one that is no number from 0 to 1."""
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def _weight(names: tuple[str, ...], weights: dict[str, float]) -> float:
    """That of the most specific range that covers it."""
    return next((weights[name] for name in names if name in weights), 0.0)
