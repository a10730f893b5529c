"""The path that routes are matched by: as nginx sees it, not as the client spells it.

What is sent on stays as it was spelled. But `/public/../admin`, `//admin` and `/%61dmin` are all `/admin`
to an upstream, so they must be that to the router as well.
"""

from urllib.parse import unquote


def normalise(path: str) -> str:
    """Percent-decoded once, slashes merged, dot segments resolved. Source: RFC 3986, section 5.2.4."""
    if "%" not in path and "//" not in path and "/." not in path:
        return path
    if "%" in path:
        path = unquote(path, errors="surrogateescape")
    segments: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            if segments:
                segments.pop()
        elif part not in ("", "."):
            segments.append(part)
    open_ended = segments and parts[-1] in ("", ".", "..")
    return "/" + "/".join(segments) + ("/" if open_ended else "")
