"""The export server of the `prometheus` plugin: a listener of its own for Prometheus to read from."""

from collections.abc import Callable

from batchway.model import Response, json_response
from batchway.plugins import Gateway
from batchway.plugins.prometheus import CONTENT_TYPE, ExportAttributes
from batchway.plugins.prometheus_metrics import metrics
from batchway.wire import Receive, Scope, Send, serve_reads


class MetricsApp:
    """`GET` of the export URI; nothing else is here."""

    def __init__(self, attributes: Callable[[], ExportAttributes | None], gateway: Gateway) -> None:
        """`attributes` are the plugin's, as they are now; None once it is switched off."""
        self._attributes = attributes
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's lifespan."""
        await serve_reads(scope, receive, send, self._answer)

    def _answer(self, scope: Scope) -> Response:
        attributes = self._attributes()
        if attributes is None or scope["path"] != attributes.export_uri:
            return json_response(404, {"error_msg": "404 Not Found"})
        if scope["method"] not in ("GET", "HEAD"):
            refusal = json_response(405, {"error_msg": "method not allowed, expected GET"})
            refusal.headers.append((b"Allow", b"GET, HEAD"))
            return refusal
        found, gateway = metrics(attributes.shape()), self._gateway
        text = None if scope["method"] == "HEAD" else found.text(gateway.names, gateway.health())
        return Response(200, "OK", [(b"Content-Type", CONTENT_TYPE)], text)
