"""What the daemon says of itself, in both forms, its libraries' voices among it."""

import io
import logging
from collections.abc import Iterator
from typing import Literal

import orjson
import pytest
import structlog

from daemon.config.outlets import Logging
from daemon.service.logging import configure


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_json_is_one_object_a_line_for_ours_and_for_theirs() -> None:
    stream = io.StringIO()
    configure(Logging(format="json"), stream)
    structlog.get_logger("daemon.service.composition").info("started", partitions=12, odd=object)
    logging.getLogger("some.library").warning("came %s", "back")
    ours, theirs = lines(stream)
    assert (ours["event"], ours["level"], ours["logger"], ours["partitions"]) == (
        "started",
        "info",
        "daemon.service.composition",
        12,
    )
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("came back", "warning", "some.library")


def test_a_traceback_is_within_its_line() -> None:
    stream = io.StringIO()
    configure(Logging(format="json"), stream)
    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("died")
    (line,) = lines(stream)
    assert "broken" in str(line["exception"])


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_shows_no_values_of_its_frames(form: Literal["console", "json"]) -> None:
    stream = io.StringIO()
    configure(Logging(format=form), stream)
    secret = "hunter" + str(2)
    try:
        int("broken", base=len(secret) + 3)
    except ValueError:
        structlog.get_logger().exception("died")
    assert "test_a_traceback_shows_no_values" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_the_level_silences_what_is_below_it_and_libraries_speak_from_warning_on() -> None:
    stream = io.StringIO()
    configure(Logging(level="info"), stream)
    structlog.get_logger().debug("detail")
    logging.getLogger("aiokafka.consumer").info("joined")
    assert stream.getvalue() == ""
    logging.getLogger("aiokafka.consumer").warning("left")
    assert "left" in stream.getvalue()


def test_configuring_twice_says_everything_once() -> None:
    stream = io.StringIO()
    configure(Logging(), io.StringIO())
    configure(Logging(), stream)
    structlog.get_logger().info("once")
    assert stream.getvalue().count("once") == 1
