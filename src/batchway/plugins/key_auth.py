"""`key-auth`: a consumer shows who it is by a key, in a header or in the query.

Source: apisix/plugins/key-auth.lua.
"""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from batchway.model import Response
from batchway.plugins.arguments import without_argument
from batchway.plugins.auth import Anonymous, AuthPlugin, Realm
from batchway.plugins.context import Context, Credential
from batchway.plugins.variables import argument, header


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the key is looked for: in the header first, then in the query."""

    header: str = "apikey"
    query: str = "apikey"
    hide_credentials: bool = False
    """Whether the upstream does not get to see the key."""
    realm: Realm = "key"
    anonymous_consumer: Anonymous = None


class ConsumerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A consumer's key."""

    key: Annotated[str, Meta(min_length=1)]


class KeyAuth(AuthPlugin):
    """Finds the consumer by its key."""

    name = "key-auth"
    priority = 2500
    Config: ClassVar[type[Struct]] = Config
    ConsumerConfig: ClassVar[type[Struct] | None] = ConsumerConfig
    identity = "key"
    secrets = ("key",)
    challenge = "apikey"

    async def find(self, context: Context) -> Credential | Response:
        """Whose key the request has."""
        key = self._in_header(context) or argument(context.request.query, self.config.query)
        if not key:
            return self.refuse("Missing API key in request")
        credential = self.gateway.credential(self.name, key)
        return credential or self.refuse("Invalid API key in request")

    def hide(self, context: Context) -> None:
        """Hide the key where it was found, and nothing else."""
        if self._in_header(context):
            context.remove_header(self.config.header)
        else:
            self._hide_argument(context)

    def hide_all(self, context: Context) -> None:
        """Hide what stands in either place: the one may be wrong and the other somebody's key."""
        if self._in_header(context):
            context.remove_header(self.config.header)
        self._hide_argument(context)

    def _hide_argument(self, context: Context) -> None:
        query, name = context.request.query, self.config.query
        if argument(query, name) is not None:
            context.change(query=without_argument(query, name))

    def _in_header(self, context: Context) -> str | None:
        return header(context.request, self.config.header.lower().encode("latin-1", "replace"))
