"""`multi-auth`: any of several ways to show who one is. Source: apisix/plugins/multi-auth.lua."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from batchway.errors import InvalidResource
from batchway.model import Response, json_response
from batchway.plugins.base import Gateway, Plugin, Plugins
from batchway.plugins.context import Context

# Not dict[str, dict[…]]: what is no config is refused by the plugin that it is for, which has a name.
One = Annotated[dict[str, Any], Meta(min_length=1)]


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Configs of auth plugins by their names, tried in this order."""

    auth_plugins: Annotated[tuple[One, ...], Meta(min_length=2)]


class MultiAuth(Plugin):
    """Asks one auth plugin after another, until one knows the consumer."""

    name = "multi-auth"
    priority = 2600
    Config: ClassVar[type[Struct]] = Config

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        super().__init__(config, gateway, owner)
        self._plugins = [
            plugin
            for one in config.auth_plugins
            for name, inner in one.items()
            if (plugin := gateway.build(name, inner, owner)) is not None
        ]

    @classmethod
    def check(cls, config: Any, registry: Plugins) -> None:
        """Raises InvalidResource for what is no auth plugin, or not its config."""
        for one in config.auth_plugins:
            for name, inner in one.items():
                registry.check_plugin(name, inner)
                if not registry.plugins[name].is_auth:
                    message = f"config of plugin multi-auth: {name} is no auth plugin"
                    raise InvalidResource(message)

    async def rewrite(self, context: Context) -> Response | None:
        """A refusal with the challenges of all, if none of them knows the consumer."""
        challenges = []
        # A global rule may have found the very credential that one of ours will find, too.
        before, context.credential = context.credential, None
        for plugin in self._plugins:
            refusal = await plugin.rewrite(context)
            if context.credential is not None:
                return None
            if refusal is not None:  # None from one whose `_meta` says not to ask it
                challenges += [pair for pair in refusal.headers if pair[0].lower() == b"www-authenticate"]
        context.credential = before
        response = json_response(401, {"message": "Authorization Failed"})
        response.headers += challenges
        return response

    def close(self) -> None:
        """Close them."""
        for plugin in self._plugins:
            plugin.close()
