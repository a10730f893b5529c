"""One file a plugin: `key_auth.py` is `key-auth`."""

from batchway.plugins.base import Counters, Gateway, Handler, Plugin, PublicApi
from batchway.plugins.context import Consumer, Context, Credential, Matched
from batchway.plugins.registry import PLUGINS, Registry, all_plugins

__all__ = [
    "PLUGINS",
    "Consumer",
    "Context",
    "Counters",
    "Credential",
    "Gateway",
    "Handler",
    "Matched",
    "Plugin",
    "PublicApi",
    "Registry",
    "all_plugins",
]
