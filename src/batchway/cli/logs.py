"""Where log lines go and how they look: for people on a terminal, JSON elsewhere."""

import logging
import sys

import structlog

from batchway.config import LogSettings


def configure(settings: LogSettings) -> None:
    """Write all log lines, uvicorn's too, to standard error."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*before, *([structlog.processors.format_exc_info] if as_json else []), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # one write a line: workers share it
        cache_logger_on_first_use=False,
    )
    _configure_others(max(level, logging.ERROR), before, renderer, as_json=as_json)


def _configure_others(
    level: int,
    before: list[structlog.typing.Processor],
    renderer: structlog.typing.Processor,
    *,
    as_json: bool,
) -> None:
    """Make the lines of libraries, which use `logging`, look like ours."""
    handler = logging.StreamHandler(sys.stderr)
    last: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        last.append(structlog.processors.format_exc_info)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *before],
            processors=[*last, renderer],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
