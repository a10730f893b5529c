"""`ip-restriction`: which clients are served, by their addresses. Source: apisix/plugins/ip-restriction."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from batchway.config.expression import networks, within
from batchway.model import Response, json_response
from batchway.plugins.base import Gateway, Plugin
from batchway.plugins.context import Context

Networks = Annotated[tuple[str, ...], Meta(min_length=1)]


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Addresses and networks that alone are served, or that are not."""

    whitelist: Networks | None = None
    blacklist: Networks | None = None
    message: Annotated[str, Meta(min_length=1, max_length=1024)] = "Your IP address is not allowed"
    response_code: Annotated[int, Meta(ge=403, le=404)] = 403

    def __post_init__(self) -> None:
        if (self.whitelist is None) == (self.blacklist is None):
            message = 'exactly one of "whitelist" and "blacklist" is expected'
            raise ValueError(message)
        networks(self.whitelist or self.blacklist, "whitelist" if self.whitelist else "blacklist")


class IpRestriction(Plugin):
    """Refuses clients. Behind a proxy their addresses are known by `real_ip_from` or `real-ip`."""

    name = "ip-restriction"
    priority = 3000
    Config: ClassVar[type[Struct]] = Config

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        super().__init__(config, gateway, owner)
        self._is_listed = within(networks(config.whitelist or config.blacklist, "list"))

    async def access(self, context: Context) -> Response | None:
        """A refusal, unless the address is in the whitelist, or not in the blacklist."""
        is_listed = self._is_listed(context.var("remote_addr"))
        if is_listed == (self.config.whitelist is not None):
            return None
        return json_response(self.config.response_code, {"message": self.config.message})
