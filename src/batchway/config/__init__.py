"""config.yaml: what the operator sets, read once at the start and again on SIGHUP."""

from batchway.config.admin_key import ensure_admin_key
from batchway.config.file import Loaded, load
from batchway.config.settings import (
    Address,
    AdminKey,
    LogSettings,
    Network,
    Role,
    ServerLimits,
    Settings,
    StoreSettings,
)

__all__ = [
    "Address",
    "AdminKey",
    "Loaded",
    "LogSettings",
    "Network",
    "Role",
    "ServerLimits",
    "Settings",
    "StoreSettings",
    "ensure_admin_key",
    "load",
]
