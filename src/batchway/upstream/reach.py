"""How the nodes of one upstream are reached: over which pools, under which name, with which TLS."""

import ssl

from batchway.errors import UpstreamRefused
from batchway.upstream.pool import Address, Pool, Terms
from batchway.upstream.pools import Pools
from batchway.upstream.spec import Node, Upstream
from batchway.upstream.target import Target
from batchway.upstream.tls import ClientCertificate


class Reach:
    """The pools of one upstream's targets."""

    def __init__(self, upstream: Upstream, pools: Pools, terms: Terms) -> None:
        """Raises InvalidResource if the client certificate cannot be used."""
        self._pools = pools
        self._terms = _terms(upstream, terms)
        self._tls = upstream.scheme == "https"
        self._verify = upstream.tls.verify
        self._name = named(upstream)
        self.written_host = upstream.upstream_host if self._name else None
        """The Host header of all requests, if it is neither the client's nor the node's."""
        self._client = _client(upstream) if self._tls else None
        #: kept, so that they are not made anew for every pool
        self._contexts: dict[bool, ssl.SSLContext] = {}
        if self._client is not None:
            self.context(verify=self._verify)

    def context(self, *, verify: bool) -> ssl.SSLContext:
        """TLS as this upstream has it."""
        context = self._contexts.get(verify)
        if context is None:
            context = self._pools.contexts.get(verify=verify, client=self._client)
            self._contexts[verify] = context
        return context

    def server_name(self, node: Node, *, verify: bool) -> str:
        """The name to ask for and to verify. It is the operator's, never the client's Host header.

        `""` for one that TLS has no way to ask for. Raises UpstreamRefused if it is to be verified, too.
        """
        name = self._name or node.host
        if _can_be_asked_for(name):
            return name
        if verify:
            message = "the upstream's host is no name that a certificate could have"
            raise UpstreamRefused(message)
        return ""

    def pool(self, target: Target, *, verify: bool) -> Pool:
        """The connections to `target`, verified if either the upstream or `verify` says so."""
        pool = target.pools[verify]
        if pool is None or pool.forgotten:
            pool = target.pools[verify] = self._pool(target, verify or self._verify)
        return pool

    def _pool(self, target: Target, verify: bool) -> Pool:
        node = target.node
        if not self._tls:
            return self._pools.get(Address(target.ip, node.port), self._terms, None)
        identity = "" if self._client is None else self._client.identity
        address = Address(target.ip, node.port, self.server_name(node, verify=verify), verify, identity)
        return self._pools.get(address, self._terms, self.context(verify=verify))


def _can_be_asked_for(name: str) -> bool:
    """Whether the name fits into SNI: asyncio waits for ever for a handshake that it could not begin."""
    labels = name.removesuffix(".").split(".")
    return ":" in name or (len(name) <= 253 and all(0 < len(label) < 64 for label in labels))


def named(upstream: Upstream) -> str | None:
    """The host that `upstream_host` names, if it is used."""
    if upstream.pass_host != "rewrite" or not upstream.upstream_host:  # noqa: S105 - no password
        return None
    return _without_port(upstream.upstream_host)


def _terms(upstream: Upstream, terms: Terms) -> Terms:
    """Those of the worker, but for what the upstream says itself."""
    kept = upstream.keepalive_pool
    return Terms(
        max_connections=upstream.max_connections or terms.max_connections,
        max_idle=terms.max_idle if kept is None else kept.size,
        idle_timeout_s=terms.idle_timeout_s if kept is None else kept.idle_timeout,
        max_requests=terms.max_requests if kept is None else kept.requests,
        max_header_bytes=terms.max_header_bytes,
    )


def check_certificate(upstream: Upstream) -> None:
    """Raises InvalidResource if the upstream has a client certificate that cannot be used."""
    client = _client(upstream)
    if client is not None:
        client.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def _client(upstream: Upstream) -> ClientCertificate | None:
    certificate, key = upstream.tls.client_cert, upstream.tls.client_key
    return None if certificate is None or key is None else ClientCertificate(certificate, key)


def _without_port(host: str) -> str:
    """`example.com` for `example.com:8443`, `::1` for `[::1]:8443`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and ":" not in name else host
