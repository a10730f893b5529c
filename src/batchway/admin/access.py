"""Who may do what with the Admin API."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol

from msgspec import Struct

from batchway.config.data_encryption import Keyring
from batchway.errors import BatchwayError
from batchway.plugins import Plugin

FindHolder = Callable[[str, str], str | None]
"""The consumer who is known to an auth plugin by that identity: `("key-auth", "secret")` to `jack`."""


class AdminKey(Protocol):
    """A key and what it opens."""

    @property
    def name(self) -> str:
        """Whose it is."""

    @property
    def key(self) -> str:
        """What is sent as X-API-KEY."""

    @property
    def role(self) -> str:
        """`admin` may do everything, any other role only read."""


class AddressRefused(BatchwayError):
    """The client's address is not in `deployment.admin.allow_admin`."""

    status = 403
    code = "address_refused"


class KeyRefused(BatchwayError):
    """No key, a wrong one, or one that does not open this. `description` says which, as APISIX."""

    status = 401
    code = "key_refused"

    def __init__(self, description: str) -> None:
        super().__init__("failed to check token")
        self.description = description


class PluginSchemas(Protocol):
    """What the Admin API asks of the plugins."""

    @property
    def plugins(self) -> Mapping[str, type[Plugin]]:
        """Those that are enabled, by name."""

    def check_plugin(self, name: str, config: object, *, consumer: bool = False) -> object:
        """Raises InvalidResource if there is no such plugin or it does not take `config`.

        With `consumer`, `config` is what a consumer holds of it.
        """

    def check_metadata(self, name: str, document: object) -> object:
        """Like `check_plugin`, for the plugin's metadata."""


class Access(Struct, frozen=True):
    """What a reload of the configuration replaces, as one."""

    keys: Sequence[AdminKey]
    """None: nobody has access."""
    allow: Sequence[IPv4Network | IPv6Network]
    """Networks that may ask. None: nobody."""
    plugins: PluginSchemas
    keyring: Keyring = Keyring()
    """For secrets in the store. Without keys they stand there in the clear."""

    def check_address(self, client: str | None) -> None:
        """Raises AddressRefused unless the client's address is in one of the networks."""
        if client is None or not self._is_allowed(client):
            msg = "this address is not in deployment.admin.allow_admin"
            raise AddressRefused(msg)

    def _is_allowed(self, client: str) -> bool:
        try:
            address = ip_address(client)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self.allow)

    def find_key(self, given: bytes | None) -> AdminKey:
        """The key that was given. Raises KeyRefused if it is none of ours."""
        if given is None:
            description = "missing apikey: send a key of deployment.admin.admin_key as X-API-KEY"
            raise KeyRefused(description)
        found = None
        for admin in self.keys:  # all of them: the time it takes must not tell how far one got
            if hmac.compare_digest(admin.key.encode(), given):
                found = admin
        if found is None:
            raise KeyRefused("wrong apikey")
        return found


def check_role(key: AdminKey, *, reads: bool) -> None:
    """Raises KeyRefused if the key may only read, and this is something else."""
    if not reads and key.role != "admin":
        description = f"invalid method for role {key.role}"
        raise KeyRefused(description)
