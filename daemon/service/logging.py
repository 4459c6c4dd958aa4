"""What the daemon says of itself: structlog on stderr, for people or as JSON, the libraries' own loggers included.

No text of a post and no secret is ever an argument of a log call; names of agents are, at debug only.
"""

import logging
import sys
from collections.abc import Callable
from typing import TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from daemon.config.outlets import Logging

_QUIET = ("aiokafka", "aiohttp.access", "asyncio", "websockets", "httpx", "httpcore")
"""Libraries whose news at info is noise to an operator: they are heard from warning on, or all at debug."""


def configure(settings: Logging, stream: TextIO | None = None, cover: Callable[[str], str] | None = None) -> None:
    """Route structlog and the standard library's loggers to one stream (stderr) in one form.

    Each line goes through `cover` before it is written: where accounts have pseudonyms, it names nobody.
    """
    level = getattr(logging, settings.level.upper())
    out = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(settings, colours=out.isatty()),
                *([_covered(cover)] if cover else []),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(level if settings.level == "debug" else max(level, logging.WARNING))


def _renderers(settings: Logging, *, colours: bool) -> list[Processor]:
    if settings.format == "console":
        return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)]
    # Without the frames' locals: they may hold a password, or the text of a post.
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [structlog.processors.ExceptionRenderer(tracebacks), _json]


def _covered(cover: Callable[[str], str]) -> Processor:
    return lambda _logger, _method, line: cover(str(line))


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Write one line of JSON, whatever the values are."""
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
