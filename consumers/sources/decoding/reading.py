"""How the bytes of one source are read: its id, its times, its scorer; and how a refusal is written down."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from consumers.scoring import Scorer
from consumers.sources import Delivery, Rejected

EARLIEST: Final = 1_667_260_800_000_000
"""2022-11-01 in µs: nothing of this network is older."""

DAY: Final = 86_400_000_000

MAX_SEQ: Final = 1 << 48
"""Seqs stay below this; what lies above holds how often the host began its seqs anew (`consumers.sources.epochs`)."""

REASONS: Final = frozenset(
    {
        "bad_at_uri",
        "bad_block",
        "bad_car",
        "bad_cid",
        "bad_did",
        "bad_path",
        "bad_seq",
        "bad_time",
        "empty_frame",
        "missing_block",
        "missing_field",
        "not_cbor",
        "not_json",
        "oversize_frame",
        "time_out_of_range",
        "too_many_ops",
        "truncated",
        "undecompressable",
        "unknown_action",
        "unknown_kind",
        "wrong_type",
    }
)
"""Every reason for which something is rejected; they are metric labels, so there are few and they are stable."""

WRONG_SHAPE: Final = (KeyError, TypeError, AttributeError, IndexError, ValueError, RecursionError)
"""What plain indexing of a document from outside raises where it is not the document that it should be."""


class MalformedError(Exception):
    """An operation that cannot be read, with one of `REASONS`. Caught in the decoder that met it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass(slots=True)
class Mark:
    """Where a frame stands in its stream. `t`, µs, is None where the frame has none that can be believed."""

    seq: int
    t: int | None


class Notice(NamedTuple):
    """What a host says about the stream itself (`OutdatedCursor`, `ConsumerTooSlow` …); fatal: it closes after it."""

    name: str
    message: str
    fatal: bool


@dataclass(slots=True)
class Reading:
    """What a decoder needs besides the bytes. `seq_base` is added to every seq (see `consumers.sources.epochs`)."""

    src: str
    latest: int
    """The latest believable receipt time, µs; `at` keeps it a day ahead of the present."""
    score: Scorer
    seq_base: int = 0
    check_cids: bool = False

    @property
    def now(self) -> int:
        """The present, µs, as `at` last had it."""
        return self.latest - DAY

    def at(self, now: int) -> None:
        """Take `now`, µs, for the present."""
        self.latest = now + DAY


def reject(into: Delivery, reading: Reading, error: Exception, position: int, size: int) -> None:
    """Write down one operation that could not be read. Its detail never holds what the operation said."""
    if isinstance(error, MalformedError):
        reason, detail = error.reason, error.detail
    elif isinstance(error, KeyError):
        reason, detail = "missing_field", f"no field {error.args[0]!r}"
    else:
        reason, detail = "wrong_type", "a field is not of its type"
    into.rejected.append(Rejected(reason, detail, f"{reading.src}@{position}", size))


def check_time(t: int, reading: Reading) -> int:
    """Return `t`, µs, if the network could have received something then."""
    if type(t) is not int:
        raise MalformedError("bad_time", "the receipt time is not an integer")
    if not EARLIEST <= t <= reading.latest:
        raise MalformedError("time_out_of_range", f"{t} µs is before November 2022 or over a day ahead")
    return t


def check_seq(seq: int) -> int:
    """Return `seq` if it is one."""
    if type(seq) is not int or not 0 <= seq < MAX_SEQ:
        raise MalformedError("bad_seq", "seq is not an integer in [0, 2^48)")
    return seq


def notice(body: dict[str, Any], *, fatal: bool) -> Notice:
    """Return what a host says; an error frame names itself in `error`, an info frame in `name`."""
    name = body.get("error" if fatal else "name")
    return Notice(str(name)[:64], str(body.get("message") or "")[:256], fatal)
