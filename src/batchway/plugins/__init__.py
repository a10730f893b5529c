"""One file a plugin: `key_auth.py` is `key-auth`."""

from batchway.plugins.base import Gateway, Handler, Plugin, PublicApi
from batchway.plugins.registry import PLUGINS, Registry

__all__ = ["PLUGINS", "Gateway", "Handler", "Plugin", "PublicApi", "Registry"]
