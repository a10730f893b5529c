"""`real-ip`: whose request it is, where a proxy in front of us knows.

Source: apisix/plugins/real-ip.lua.
"""

import re
from ipaddress import ip_address
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct
from msgspec.structs import replace

from batchway.config.expression import networks, within
from batchway.model import Response
from batchway.plugins.base import Gateway, Plugin
from batchway.plugins.context import Context

_FORWARDED = "http_x_forwarded_for"


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """`source`: the variable that has the address, such as `http_x_real_ip` or `arg_client`."""

    source: Annotated[str, Meta(min_length=1)]
    trusted_addresses: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    """Peers whose word is taken; None: anybody's."""
    recursive: bool = False
    """In `X-Forwarded-For`, pass over addresses that are themselves trusted."""

    def __post_init__(self) -> None:
        if self.trusted_addresses is not None:
            networks(self.trusted_addresses, "trusted_addresses")


class RealIp(Plugin):
    """Makes the address that the source tells the client's, for all that comes after, and its port."""

    name = "real-ip"
    priority = 23000
    Config: ClassVar[type[Struct]] = Config

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        super().__init__(config, gateway, owner)
        trusted = config.trusted_addresses
        self._is_trusted = None if trusted is None else within(networks(trusted, "list"))

    async def rewrite(self, context: Context) -> Response | None:
        """Set the client's address, if there is one to set.

        An item has its batch's: what stands in it is the client's word, never that of a proxy.
        """
        origin = context.original.origin
        if context.original.batch is not None:
            return None
        if self._is_trusted is not None and not self._is_trusted(origin.client):
            return None
        found = self._found(context)
        if found is not None:
            address, port = found
            context.set_origin(replace(origin, client=address, client_port=port or origin.client_port))
        return None

    def _found(self, context: Context) -> "_Client | None":
        told = context.var(self.config.source)
        if told is None:
            return None
        if self.config.source != _FORWARDED:
            return _parsed(told)
        chain = [_parsed(one) for one in told.split(",")]
        if not self.config.recursive or self._is_trusted is None:
            return chain[-1]
        last = None
        for client in reversed(chain):  # what stands further left, only those further right vouch for
            if client is None:
                break
            last = client
            if not self._is_trusted(client[0]):
                break
        return last


_Client = tuple[str, int]
"""An address and a port, which is 0 if there is none."""
_SPELLED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?|([0-9.]+):([0-9]{1,5})|([0-9A-Fa-f:.]+)")
_MAX_PORT = 65535


def _parsed(text: str) -> _Client | None:
    """What `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80` says; None for anything else.

    No zone, as in `fe80::1%eth0`: it may be any text, and means nothing here. An IPv4 address within an
    IPv6 one is that IPv4 address.
    """
    found = _SPELLED.fullmatch(text.strip())
    if found is None:
        return None
    given = found[2] or found[4]
    port = 0 if given is None else int(given)
    if given is not None and not 0 < port <= _MAX_PORT:
        return None
    try:
        address = ip_address(found[1] or found[3] or found[5])
    except ValueError:
        return None
    return str((address.version == 6 and address.ipv4_mapped) or address), port
