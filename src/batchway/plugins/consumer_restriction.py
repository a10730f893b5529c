"""`consumer-restriction`: which consumers are served. Source: apisix/plugins/consumer-restriction.lua."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from batchway.config.resources.common import Method
from batchway.model import Response, json_response
from batchway.plugins.base import Plugin
from batchway.plugins.context import Context

Names = Annotated[tuple[str, ...], Meta(min_length=1)]


class Allowed(Struct, frozen=True, forbid_unknown_fields=True):
    """The methods that one of them may use."""

    user: str
    methods: Annotated[tuple[Method, ...], Meta(min_length=1)]


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Names that alone are served, or that are not; or the methods that some may use."""

    type: Literal["consumer_name", "consumer_group_id", "service_id", "route_id"] = "consumer_name"
    """What the names are of."""
    whitelist: Names | None = None
    blacklist: Names | None = None
    allowed_by_methods: tuple[Allowed, ...] | None = None
    """Who is not named here may use all methods."""
    rejected_code: Annotated[int, Meta(ge=200, le=599)] = 403
    rejected_msg: str | None = None

    def __post_init__(self) -> None:
        if self.whitelist is None and self.blacklist is None and self.allowed_by_methods is None:
            message = 'one of "whitelist", "blacklist" and "allowed_by_methods" is required'
            raise ValueError(message)


class ConsumerRestriction(Plugin):
    """Refuses consumers."""

    name = "consumer-restriction"
    priority = 2400
    Config: ClassVar[type[Struct]] = Config

    async def access(self, context: Context) -> Response | None:
        """A refusal, unless whoever asks is one of those that may."""
        config = self.config
        name = context.var(config.type)
        if name is None:
            message = f"The request is rejected, please check the {config.type} for this request"
            return json_response(401, {"message": message})
        if self._may(name, context.original.method):
            return None
        message = config.rejected_msg or f"The {config.type} is forbidden."
        return json_response(config.rejected_code, {"message": message})

    def _may(self, name: str, method: str) -> bool:
        """The blacklist goes before the whitelist, and that before the methods."""
        config = self.config
        if name in (config.blacklist or ()):
            return False
        if config.whitelist is not None:
            return name in config.whitelist
        allowed = next((one for one in config.allowed_by_methods or () if one.user == name), None)
        return allowed is None or method in allowed.methods
