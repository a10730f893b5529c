"""`cors`: which pages of other sites may read the answers. Source: apisix/plugins/cors.lua; Fetch, 3.2."""

import re
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from batchway.config.expression import MAX_SUBJECT
from batchway.config.pattern import compile_pattern
from batchway.model import Response
from batchway.plugins.answers import remove_header
from batchway.plugins.base import Gateway, Plugin
from batchway.plugins.context import Context
from batchway.plugins.names import clean_value

_ALL_METHODS = "GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE"
Origins = Annotated[str, Meta(pattern=r"^(\*|\*\*|null|\w+://[^,\s]+(,\w+://[^,\s]+)*)\Z")]
Patterns = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=4096)], ...], Meta(min_length=1)]
Words = Annotated[str, Meta(pattern=r"^[ -~]*\Z")]


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """`*` allows everything to requests without credentials, `**` everything to all."""

    allow_origins: Origins = "*"
    allow_methods: Words = "*"
    allow_headers: Words = "*"
    expose_headers: Words = ""
    max_age: int = 5
    """Seconds that a browser may remember the answer; -1: none."""
    allow_credential: bool = False
    allow_origins_by_regex: Patterns | None = None
    allow_origins_by_metadata: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    """Names in the plugin's metadata."""
    timing_allow_origins: Origins | None = None
    timing_allow_origins_by_regex: Patterns | None = None

    def __post_init__(self) -> None:
        words = (self.allow_origins, self.allow_methods, self.allow_headers, self.expose_headers)
        if self.allow_credential and ("*" in words or self.timing_allow_origins == "*"):
            message = 'no other property may be "*" when "allow_credential" is true: name them, or use "**"'
            raise ValueError(message)
        for name in ("allow_origins_by_regex", "timing_allow_origins_by_regex"):
            _patterns(getattr(self, name), name)


class Metadata(Struct, frozen=True, forbid_unknown_fields=True):
    """Lists of origins by names that configs may use."""

    allow_origins: dict[str, Origins] = {}


def _patterns(given: tuple[str, ...] | None, name: str) -> list[re.Pattern[str]]:
    """Raises ValueError."""
    return [compile_pattern(one, f'"{name}[{index}]"') for index, one in enumerate(given or ())]


class Cors(Plugin):
    """Answers what browsers ask before a request, and tells them what they may do with its answer."""

    name = "cors"
    priority = 4000
    Config: ClassVar[type[Struct]] = Config
    Metadata: ClassVar[type[Struct]] = Metadata

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        super().__init__(config, gateway, owner)
        self._patterns = _patterns(config.allow_origins_by_regex, "allow_origins_by_regex")
        self._timing = _patterns(config.timing_allow_origins_by_regex, "timing_allow_origins_by_regex")
        # Beside lists the default would make them pointless.
        self._lists_alone = config.allow_origins == "*" and config.allow_origins_by_metadata is not None
        alike = ("*", None)  # the same answer for all origins
        self._times = bool(config.timing_allow_origins or self._timing)
        self._varies = bool(
            self._patterns
            or self._timing
            or config.allow_origins not in alike
            or config.timing_allow_origins not in alike
            or config.allow_origins_by_metadata
        )

    async def rewrite(self, context: Context) -> Response | None:
        """The answer to OPTIONS: such a request has no credentials and goes no further."""
        return Response(200, "OK", [], b"") if context.original.method == "OPTIONS" else None

    async def filter_response(self, context: Context, response: Response) -> Response:
        """The answer with the headers that the page's browser looks for, and none that the upstream sent.

        A header of the upstream's beside ours, or where we have none, could allow what the config does not.
        """
        remove_header(response, *_OURS)
        origin = context.var("http_origin")
        if origin is not None and len(origin) > MAX_SUBJECT:
            origin = None
        allowed = self._allowed(origin)
        if allowed is not None:
            self._tell(context, response, allowed)
        if self._times:
            remove_header(response, _TIMING)
            _put(response, _TIMING, self._allowed_timing(origin))
        if self._varies:
            _vary(response)
        return response

    def _allowed(self, origin: str | None) -> str | None:
        """What to allow: `*`, or the page's own origin; None for nothing."""
        config = self.config
        if origin and any(pattern.search(origin) for pattern in self._patterns):
            return origin
        if origin and self._is_in_metadata(origin):
            return origin
        if config.allow_origins_by_regex is not None or self._lists_alone:
            return None
        return _of(config.allow_origins, origin)

    def _is_in_metadata(self, origin: str) -> bool:
        named = self.config.allow_origins_by_metadata
        if named is None:
            return False
        lists = self.gateway.metadata(self.name).allow_origins
        return any(_of(lists[name], origin) is not None for name in named if name in lists)

    def _allowed_timing(self, origin: str | None) -> str | None:
        if origin and any(pattern.search(origin) for pattern in self._timing):
            return origin
        given = self.config.timing_allow_origins
        return None if given is None else _of(given, origin)

    def _tell(self, context: Context, response: Response, allowed: str) -> None:
        config = self.config
        asked = context.var("http_access_control_request_headers")
        _put(response, "Access-Control-Allow-Origin", allowed)
        _put(
            response,
            "Access-Control-Allow-Methods",
            _ALL_METHODS if config.allow_methods == "**" else config.allow_methods,
        )
        _put(response, "Access-Control-Max-Age", str(config.max_age))
        _put(response, "Access-Control-Expose-Headers", config.expose_headers)
        _put(
            response,
            "Access-Control-Allow-Headers",
            asked if config.allow_headers == "**" else config.allow_headers,
        )
        _put(response, "Access-Control-Allow-Credentials", "true" if config.allow_credential else None)


def _of(origins: str, origin: str | None) -> str | None:
    """What `origins` allows to that origin."""
    if origins == "*":
        return "*"
    if origins == "**":
        return origin or "*"
    return origin if origin is not None and origin in origins.split(",") else None


_TIMING = "Timing-Allow-Origin"
_OURS = tuple(
    f"Access-Control-{name}"
    for name in (
        "Allow-Origin", "Allow-Methods", "Allow-Headers", "Allow-Credentials", "Expose-Headers", "Max-Age"
    )
)  # fmt: skip


def _put(response: Response, name: str, value: str | None) -> None:
    if value:
        response.headers.append((name.encode(), clean_value(value)))


def _vary(response: Response) -> None:
    """Caches must not give one origin's answer to another."""
    told = b",".join(value for name, value in response.headers if name.lower() == b"vary").lower()
    if not {b"origin", b"*"} & {one.strip() for one in told.split(b",")}:
        response.headers.append((b"Vary", b"Origin"))
