"""Every deliberate error: the status it becomes, a stable code, a message fit for a client.

A message never holds a body, a credential or a path of this machine: it is shown as it stands.
"""

from typing import ClassVar


class BatchwayError(Exception):
    """What went wrong, as a client may be told.

    `status` is the HTTP status it becomes, `code` a name that programs may rely on.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InternalError(BatchwayError):
    """A fault of ours. The log has the trace; the client gets this sentence."""

    def __init__(self, message: str = "internal error") -> None:
        super().__init__(message)


# --- a batch that is refused whole


class BatchRefused(BatchwayError):
    """The batch was not run: nothing in it has reached a target."""

    status = 400
    code = "batch_refused"


class MalformedBatch(BatchRefused):
    """The batch is not what its format asks for."""

    code = "malformed_batch"


class BatchTooLarge(BatchRefused):
    """The batch has more bytes than `max_body_size`."""

    status = 413
    code = "batch_too_large"


class ForgedByPage(BatchRefused):
    """A page of another site could have sent this batch in its visitor's name.

    The items have the visitor's cookies and whatever headers the page likes: also those that a
    service takes as a proof that no other site's page is behind a request.
    """

    status = 415
    code = "forged_by_page"


class TooManyItems(BatchRefused):
    """The batch has more items than `max_pipeline_items`."""

    code = "too_many_items"


# --- one item, or one plain request, that has no answer of its own


class BadRequest(BatchwayError):
    """The request cannot be sent on as it stands."""

    status = 400
    code = "bad_request"


class MalformedPath(BadRequest):
    """The path leads above the root, or is not percent-encoded as it should be."""

    code = "malformed_path"


class NestedBatch(BadRequest):
    """An item is itself a batch."""

    code = "nested_batch"


class RouteNotFound(BatchwayError):
    """No route matches."""

    status = 404
    code = "route_not_found"


class PluginsMissing(BatchwayError):
    """The route or the consumer names plugins that are not there: nobody is served without them."""

    status = 503
    code = "plugins_missing"

    def __init__(self, message: str = "the plugins that hold here are not there") -> None:
        super().__init__(message)


class MethodRefused(BatchwayError):
    """A method that is never sent on: CONNECT or TRACE."""

    status = 405
    code = "method_refused"


class BodyTooLarge(BatchwayError):
    """A request body is larger than its limit."""

    status = 413
    code = "body_too_large"


class ShuttingDown(BatchwayError):
    """The grace of a shutdown was over before the request had its answer."""

    status = 503
    code = "shutting_down"

    def __init__(self, message: str = "shutting down") -> None:
        super().__init__(message)


class DeadlineExceeded(BatchwayError):
    """The batch's time was up before this item had its answer."""

    status = 504
    code = "deadline_exceeded"

    def __init__(self, message: str = "upstream timeout") -> None:
        super().__init__(message)


# --- upstreams


class UpstreamError(BatchwayError):
    """No whole answer came from the upstream."""

    status = 502
    code = "upstream_error"


class UpstreamRefused(UpstreamError):
    """No connection could be made."""

    code = "upstream_refused"


class UpstreamBroken(UpstreamError):
    """The connection ended, or what came over it is not HTTP."""

    code = "upstream_broken"


class ReplyTooLarge(UpstreamError):
    """The answer is larger than `max_reply_size`, or all answers than `max_response_size`."""

    code = "reply_too_large"


class NoHealthyNode(UpstreamError):
    """The upstream has no node that could be asked."""

    status = 503
    code = "no_healthy_node"


class UpstreamTimeout(UpstreamError):
    """The upstream took longer than its `timeout` allows."""

    status = 504
    code = "upstream_timeout"


# --- configuration and state


class ConfigError(BatchwayError):
    """The configuration does not say what is expected: file, key path and expectation."""

    code = "config_error"


class InvalidResource(BatchwayError):
    """A resource does not validate; the message names the property."""

    status = 400
    code = "invalid_resource"


class StoreError(BatchwayError):
    """The store cannot be read or written."""

    status = 503
    code = "store_error"
