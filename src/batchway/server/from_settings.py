"""The parts of a worker as the settings have them."""

import msgspec
import structlog

from batchway.admin.access import Access
from batchway.config import Settings
from batchway.errors import ConfigError, InvalidResource
from batchway.gateway import Forwarding, Trust, access_log
from batchway.gateway.access_log import AccessLog
from batchway.gateway.paths import PathRules
from batchway.plugins import Registry
from batchway.server.stores import keyring
from batchway.upstream import Resolver, Terms

log = structlog.get_logger(__name__)

_NEED_RESTART = (
    "store",
    "workers",
    "dns_resolver",
    "dns_resolver_valid",
    "resolver_timeout",
    "ssl_trusted_certificate",
)


def without_restart(wanted: Settings, running: Settings) -> Settings:
    """`wanted`, with what cannot change now as it is; that is logged."""
    for name in _NEED_RESTART:
        if getattr(wanted, name) != getattr(running, name):
            log.warning("a change of this setting needs a restart", setting=name)
    kept = {name: getattr(running, name) for name in _NEED_RESTART}
    if wanted.limits.counter_keys != running.limits.counter_keys:
        log.warning("a change of this setting needs a restart", setting="limits.counter_keys")
    limits = msgspec.structs.replace(wanted.limits, counter_keys=running.limits.counter_keys)
    return msgspec.structs.replace(wanted, limits=limits, **kept)


def make_registry(settings: Settings) -> Registry:
    """The plugins that the settings switch on. Raises ConfigError."""
    try:
        registry = Registry(settings.plugins, settings.plugin_attr)
    except InvalidResource as error:
        raise ConfigError(error.message) from None
    if settings.expose_batch and "batch-requests" not in registry.plugins:
        message = "batchway.expose_batch: expects batch-requests in `plugins`"
        raise ConfigError(message)
    return registry


def make_resolver(settings: Settings) -> Resolver:
    """Names to addresses."""
    return Resolver(
        nameservers=settings.dns_resolver,
        valid_s=settings.dns_resolver_valid,
        timeout_s=settings.resolver_timeout,
    )


def make_terms(settings: Settings) -> Terms:
    """What a connection to an upstream may take."""
    limits = settings.limits
    return Terms(
        max_connections=limits.upstream_max_connections,
        max_idle=limits.upstream_keepalive,
        idle_timeout_s=limits.upstream_idle_timeout_s,
        max_header_bytes=limits.upstream_max_header_bytes,
    )


def make_forwarding(settings: Settings) -> Forwarding:
    """What upstreams are told of clients."""
    return Forwarding(settings.real_ip_header.encode("ascii"))


def make_access_log(settings: Settings) -> AccessLog | None:
    """The access log; None if there is to be none. Raises ConfigError if it cannot be written."""
    path = settings.access_log
    wanted = settings.enable_access_log
    if wanted is False or path == "off" or (wanted is None and path is None):
        return None
    is_json = settings.access_log_format_escape == "json"
    of_requests = access_log.Format(settings.access_log_format or access_log.FORMAT, json=is_json)
    of_calls = access_log.Format(settings.access_log_format or access_log.CALL_FORMAT, json=is_json)
    return AccessLog(path or access_log.DEFAULT_PATH, of_requests, of_calls)


def make_paths(settings: Settings) -> PathRules:
    """How paths are matched."""
    return PathRules(settings.delete_uri_tail_slash, settings.match_uri_encoded_slash)


def make_trust(settings: Settings) -> Trust:
    """Whose word about clients is taken."""
    return Trust(
        settings.real_ip_header.encode("ascii"),
        settings.real_ip_from,
        settings.real_ip_recursive,
        settings.trusted_addresses,
    )


def make_access(settings: Settings, registry: Registry) -> Access:
    """Who may do what with the Admin API. Raises ConfigError."""
    return Access(settings.admin_keys, settings.allow_admin, registry, keyring(settings))
