"""One way to speak three protocols: items of a second each, whose nth says the same on every wire."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from consumers.scoring import no_score
from consumers.sources.jetstream import OLDEST, JetstreamV1Source, JetstreamV2Source
from consumers.sources.live import LiveSource
from consumers.sources.relay import RelaySource
from consumers.sources.websocket import SocketOptions
from tests.servers.fake_jetstream import v2_error, v2_info
from tests.servers.fake_relay import error_frame, info_frame
from tests.unit.consumers.frames import LIKE, commit_frame, frame, like_line, v2_message

START = 1_783_173_600_000_000
"""2026-07-04T14:00:00Z, µs."""

NOW = START + 30 * 86_400_000_000
DEEP = 100_000
OVERSIZE = 5_500_000

Bad = dict[str, tuple[Callable[[], bytes], str]]
"""Messages that cannot be read, with the reason, by what is wrong with them."""


def moment(n: int) -> int:
    """Return when the nth item came, µs."""
    return START + n * 1_000_000


def iso(n: int) -> str:
    return datetime.fromtimestamp(moment(n) / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def rev(n: int) -> str:
    return f"3mptb{n:08d}"


@dataclass(frozen=True)
class Entry:
    """A message that a host keeps: the nth item, at a place of its stream."""

    place: int
    n: int
    message: bytes


@dataclass(frozen=True)
class Wire:
    """A protocol. `item` is the nth item at a place; `gives` whether a host sends an entry to who has a cursor."""

    protocol: str
    binary: bool
    item: Callable[..., bytes]
    gives: Callable[[Entry, int], bool]
    bad: Callable[[int], Bad]
    says: Callable[[str], bytes] | None = None
    fails: Callable[[str], bytes] | None = None

    def source(self, address: str, options: SocketOptions) -> LiveSource:
        given = {"score": no_score, "options": options, "now": lambda: NOW, "random": Random(1)}
        if self.protocol == "relay":
            return RelaySource(address, **given)
        return (JetstreamV2Source if self.protocol == "jetstream2" else JetstreamV1Source)(address, **given)

    def place(self, n: int) -> int:
        return moment(n) if self.protocol == "jetstream1" else n


def _relay_item(n: int, place: int, *, likes: int = 1, **odd: object) -> bytes:
    records = None if likes == 1 else [(LIKE, {"subject": {"uri": f"at://did:plc:{'b' * 24}/x.y.z/k"}})] * likes
    return commit_frame(records, **{"seq": place, "time": iso(n), "rev": rev(n), **odd})


def _v1_item(n: int, place: int, **odd: object) -> bytes:
    commit = {"rev": rev(n), "operation": "create", "collection": LIKE, "rkey": "3mptbyplj0000"}
    record = {"$type": LIKE, "subject": {"cid": "bafy", "uri": f"at://did:plc:{'b' * 24}/app.bsky.feed.post/k"}}
    return like_line(**{"time_us": place, "commit": {**commit, "record": record}, **odd})


def _v2_item(n: int, place: int, **odd: object) -> bytes:
    return v2_message(**{"seq": place, "time": iso(n), "rev": rev(n), "rkey": "3mptbyplj0000", **odd})


def _relay_bad(n: int) -> Bad:
    nested = b"\x81" * DEEP + b"\x00"
    return {
        "garbage": (lambda: b"\xff\xfe\xfd", "not_cbor"),
        "a truncated frame": (lambda: _relay_item(n, n)[:-30], "not_cbor"),
        "an empty frame": (lambda: b"", "empty_frame"),
        "a frame over 5 MB": (lambda: _relay_item(n, n, blob=b"x" * OVERSIZE), "oversize_frame"),
        "an unknown type": (lambda: frame("#novelty", {"seq": n, "time": iso(n)}), "unknown_kind"),
        "201 operations": (lambda: _relay_item(n, n, likes=201), "too_many_ops"),
        f"{DEEP:,} lists in each other": (lambda: nested + nested, "not_cbor"),
        "a time in 1970": (lambda: _relay_item(n, n, time="1970-01-01T00:00:00Z"), "time_out_of_range"),
    }


def _json_bad(n: int, item: Callable[..., bytes], unknown: Callable[[], bytes], old: Callable[[], bytes]) -> Bad:
    place = moment(n) if item is _v1_item else n
    return {
        "garbage": (lambda: b"\x01\x02\x03", "not_json"),
        "a truncated frame": (lambda: item(n, place)[:-30], "not_json"),
        "an empty frame": (lambda: b"", "empty_frame"),
        "a frame over 5 MB": (lambda: item(n, place, blob="x" * OVERSIZE), "oversize_frame"),
        "an unknown type": (unknown, "unknown_kind"),
        f"{DEEP:,} lists in each other": (lambda: b"[" * DEEP + b"]" * DEEP, "not_json"),
        "text that is not UTF-8": (lambda: item(n, place).replace(b"bafy", b"\xff\xfe\xfd\xfc"), "not_json"),
        "a time in 1970": (old, "time_out_of_range"),
    }


def _v1_bad(n: int) -> Bad:
    return _json_bad(n, _v1_item, lambda: like_line(time_us=moment(n), kind="novelty"), lambda: _v1_item(n, 1_000_000))


def _v2_bad(n: int) -> Bad:
    return _json_bad(
        n,
        _v2_item,
        lambda: v2_message(kind="novelty", seq=n, time=iso(n)),
        lambda: _v2_item(n, n, time="1970-01-01T00:00:00Z"),
    )


WIRES = {
    "relay": Wire(
        "relay",
        binary=True,
        item=_relay_item,
        gives=lambda entry, cursor: entry.place > cursor,
        bad=_relay_bad,
        says=info_frame,
        fails=error_frame,
    ),
    "jetstream2": Wire(
        "jetstream2",
        binary=False,
        item=_v2_item,
        gives=lambda entry, cursor: (entry.place if cursor < OLDEST else moment(entry.n)) >= cursor,
        bad=_v2_bad,
        says=v2_info,
        fails=v2_error,
    ),
    "jetstream1": Wire(
        "jetstream1",
        binary=False,
        item=_v1_item,
        gives=lambda entry, cursor: entry.place >= cursor,
        bad=_v1_bad,
    ),
}
