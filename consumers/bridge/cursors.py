"""The bridge's own state on disk: how far a source is in the log. Replaced whole, so a crash leaves the one before."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import orjson
import structlog

VERSION = 1
_logger = structlog.get_logger(__name__)

Offsets = dict[int, int]


@dataclass(slots=True, frozen=True)
class Waypoint:
    """Where the log ended when its stream time was `t`, µs; beyond it only events of `epoch` and later ones count."""

    t: int
    offsets: Offsets
    epoch: int = 0


@dataclass(slots=True)
class Position:
    """A source's place. Everything up to `cursor` is in the log, which held `t`, µs, as its greatest time then.

    `trail` says where in the log stream time was before, oldest first: from there on it is read back on start.
    `epoch` is the turn of the bridge that saved it.
    """

    cursor: int | None
    t: int | None = None
    trail: list[Waypoint] = field(default_factory=list)
    epoch: int = 0


class CursorFile:
    """The file of one source in a state directory."""

    def __init__(self, directory: Path, src: str) -> None:
        self.path = directory / f"bridge-{quote(src, safe='')}.json"
        self._src = src

    def load(self) -> Position | None:
        """Return what was saved, None where nothing usable was; a damaged file is said in the log."""
        try:
            document = orjson.loads(self.path.read_bytes())
            if document["v"] != VERSION or document["src"] != self._src:
                raise ValueError("it is of another version or source")  # noqa: TRY301 - said with the others below
            trail = [_waypoint(*point) for point in document["trail"]]
            return Position(document["cursor"], document["t"], trail, document["epoch"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _logger.error("cursor unreadable", path=str(self.path), error=str(error))  # noqa: TRY400 - one line says it
            return None

    def save(self, position: Position) -> None:
        """Write it durably. Raises OSError."""
        document = {
            "v": VERSION,
            "src": self._src,
            "cursor": position.cursor,
            "t": position.t,
            "trail": [
                [point.t, {str(key): offset for key, offset in point.offsets.items()}, point.epoch]
                for point in position.trail
            ],
            "epoch": position.epoch,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(orjson.dumps(document))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _waypoint(t: int, offsets: dict[str, int], epoch: int) -> Waypoint:
    return Waypoint(t, {int(key): offset for key, offset in offsets.items()}, epoch)
