"""The plugins that a request goes through, phase by phase, in their order."""

from collections.abc import Iterable, Mapping

import structlog
from msgspec import Struct

from batchway.errors import BatchwayError, InternalError
from batchway.model import BodyStream, Response, error_response
from batchway.plugins import Context, Plugin
from batchway.plugins.base import takes_part
from batchway.plugins.meta import Conditional, is_asked

log = structlog.get_logger(__name__)

Built = Mapping[str, Plugin | None]
"""Plugins of one resource by name; None stands for one that is switched off there."""


class Pipeline(Struct, frozen=True, gc=True, eq=False):
    """Plugins by the phases they take part in, each in the order of their priorities."""

    plugins: dict[str, Plugin]
    rewrite: tuple[Plugin, ...] = ()
    access: tuple[Plugin, ...] = ()
    calls: tuple[Plugin, ...] = ()
    """Those that a request to carries calls."""
    counting: tuple[Plugin, ...] = ()
    """Those that count requests, in `access`, and calls, where there are such."""
    filters: tuple[Plugin, ...] = ()
    log: tuple[Plugin, ...] = ()

    @classmethod
    def of(cls, *sets: Built) -> "Pipeline":
        """The plugins of several resources; of two with one name the one in the later set counts."""
        merged: dict[str, Plugin | None] = {}
        for built in sets:
            merged |= built
        plugins = {name: plugin for name, plugin in merged.items() if plugin is not None}
        ordered = sorted(plugins.values(), key=lambda plugin: -_priority(plugin))
        calls = tuple(plugin for plugin in ordered if _inner(plugin).has_calls)
        counting = tuple(plugin for plugin in ordered if _inner(plugin).counts)
        return cls(
            plugins,
            _in_phase(ordered, "rewrite"),
            _in_phase(ordered, "access"),
            calls,
            counting,
            _in_phase(ordered, "filter_response"),
            _in_phase(ordered, "log"),
        )

    def admitting(self, context: Context) -> tuple[Plugin, ...]:
        """Those to ask in `access`: without the counting ones, if what follows has its calls counted."""
        if not any(is_asked(plugin, context) for plugin in self.calls):
            return self.access
        context.counting = self.counting
        return tuple(plugin for plugin in self.access if plugin not in self.counting)


NO_PLUGINS = Pipeline({})


def _in_phase(plugins: Iterable[Plugin], phase: str) -> tuple[Plugin, ...]:
    return tuple(plugin for plugin in plugins if takes_part(_inner(plugin), phase))


def _inner(plugin: Plugin) -> Plugin:
    return plugin.inner if isinstance(plugin, Conditional) else plugin


def _priority(plugin: Plugin) -> int:
    if isinstance(plugin, Conditional) and plugin.priority_here is not None:
        return plugin.priority_here
    return _inner(plugin).priority


async def ask(plugins: Iterable[Plugin], phase: str, context: Context) -> Response | None:
    """The first response of these plugins in a phase that may end the request's way."""
    for plugin in plugins:
        response: Response | None = await getattr(plugin, phase)(context)
        if response is not None:
            return response
    return None


async def filtered(plugins: Iterable[Plugin], context: Context, response: Response) -> Response:
    """What these plugins make of a response."""
    for plugin in plugins:
        before = response.body
        context.status = response.status  # a condition in `_meta` may ask for it
        try:
            response = await plugin.filter_response(context, response)
        except BatchwayError as error:
            response = error_response(error)
        except Exception:
            log.exception("plugin failed", plugin=_inner(plugin).name, route=context.route.id)
            response = error_response(InternalError())
        except BaseException:  # cancelled: nobody else will close it
            await close_body(before)
            raise
        else:
            continue
        await close_body(before)
    return response


async def close_body(body: bytes | BodyStream | None) -> None:
    """Close it if it is a stream: nobody will read it."""
    if body is not None and not isinstance(body, bytes):
        await body.aclose()
