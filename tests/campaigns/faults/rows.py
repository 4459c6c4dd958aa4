"""The faults one by one: what a host has, and what each connection to it does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection

from tests.campaigns.faults.script import Script
from tests.campaigns.faults.wires import WIRES
from tests.servers.fake_host import ABRUPT, Act
from tests.servers.fake_jetstream import cursor_too_old

Acts = list[Act | tuple[int, str]]

RELAY, V2, V1 = WIRES
SEQUENCED = (RELAY, V2)
EVERY = tuple(WIRES)
HARD = 200_000  # bytes over which a frame is not even received, in the rows about that


@dataclass(frozen=True)
class Fault:
    """A fault of a host. `causes` are those of the gaps that it makes, none where nothing is lost."""

    name: str
    protocols: tuple[str, ...]
    play: Callable[[Script], Acts]
    causes: tuple[str, ...] = ()
    options: dict[str, float] = field(default_factory=dict)
    premature: bool = False
    """Whether a gap is said before what seems to be missing comes."""
    slack: int = 0
    """Seconds by which a gap may be too wide: where what is beside it comes out of order."""
    exact: bool = True
    """Whether all that was sent must have been read: not where a connection ends in the middle."""


def _closes(code: int) -> Callable[[Script], Acts]:
    def play(script: Script) -> Acts:
        script.goods(1, 20)
        return [script.sends(12, code), script.sends()]

    return play


def _one_bad(name: str) -> Callable[[Script], Acts]:
    """A bad message in the middle, and once more as the last of a connection: it comes again after that."""

    def play(script: Script) -> Acts:
        script.goods(1, 3)
        script.bad(4, name)
        script.goods(5, 8)
        script.bad(9, name)
        script.goods(10, 12)
        return [script.sends(9, 1000), script.sends()]

    return play


def _refused(status: int) -> Callable[[Script], Acts]:
    def play(script: Script) -> Acts:
        script.goods(1, 8)
        return [script.sends(4, 1000), (status, "busy"), (status, "busy"), script.sends()]

    return play


def _fails(name: str) -> Callable[[Script], Acts]:
    def play(script: Script) -> Acts:
        script.goods(1, 8)
        return [script.sends(4, 1008, last=[script.fails(name)]), script.sends()]

    return play


def _stalls(script: Script) -> Acts:
    script.goods(1, 8)
    return [script.sends(4), script.sends()]


def _twice(script: Script) -> Acts:
    script.goods(1, 30)
    script.again(1, 30)
    script.goods(31, 33)
    return [script.sends()]


def _out_of_order(script: Script) -> Acts:
    script.goods(1, 10)
    for n in (13, 11, 14, 12, 15, 16):
        script.good(n)
    script.goods(17, 19)
    return [script.sends()]


def _two_hundred(script: Script) -> Acts:
    script.good(1)
    script.good(2, likes=200)
    script.good(3)
    return [script.sends()]


def _too_big_to_receive(script: Script) -> Acts:
    script.goods(1, 3)
    if script.wire.protocol == RELAY:
        for n in (4, 5):
            script.refused(n, script.wire.item(n, n, blob=b"x" * 2 * HARD), "oversize_frame")
    else:
        script.good(4, blob="x" * 2 * HARD)  # what is stepped over with it is not known, so it is said as a gap
    script.goods(6, 9)
    return [script.sends()]


def _loses_one(script: Script) -> Acts:
    """The frame that cannot be read comes on both connections, and stands for one seq all the same."""
    script.goods(1, 3)
    script.bad(4, "garbage")
    script.goods(5, 8)
    kept = script.sends(4, 1000)
    del script.archive[4]
    return [kept, script.sends()]


def _breaks_the_protocol(script: Script) -> Acts:
    script.goods(1, 8)

    async def breaks(connection: ServerConnection, _cursor: int | None) -> None:
        connection.transport.write(b"\xff" * 64)
        await connection.wait_closed()

    return [script.sends(4, 1000), breaks, (200, "not a websocket"), script.sends()]


def _jumps(script: Script) -> Acts:
    script.goods(1, 40)
    return [script.sends(10, 1000), script.sends(since=31)]


def _clamps(script: Script) -> Acts:
    script.goods(1, 200)
    return [script.sends(10, 1000), script.sends(since=150)]


def _outdated(script: Script) -> Acts:
    script.goods(1, 40)
    return [script.sends(10, 1000), script.sends(since=31, first=[script.says("OutdatedCursor")])]


def _too_old(script: Script) -> Acts:
    script.goods(1, 40)
    oldest = script.sends(since=31, first=[script.says("OutdatedCursor")])
    return [script.sends(10, 1000), cursor_too_old(), oldest]


def _future(script: Script) -> Acts:
    script.goods(1, 20)
    before = script.sends(20, 1012)
    script.anew(20)
    script.goods(21, 40)
    return [before, script.sends(0, 1008, first=[script.fails("FutureCursor")]), script.sends(since=31)]


def _begins_anew(script: Script) -> Acts:
    """The host forgot its seqs, and says nothing: who comes with a cursor of before is given what is new."""
    script.goods(1, 20)
    before = script.sends(20, 1012)
    script.anew(20)
    script.goods(21, 34)
    return [before, script.sends(since=31, tip=True)]


def _faults() -> Iterator[Fault]:
    for code in (1000, 1001, ABRUPT, 1008, 1011, 1012, 1013):
        how = "without a word" if code == ABRUPT else f"with {code}"
        yield Fault(f"closes {how}", EVERY, _closes(code), exact=code != ABRUPT)
    for status in (429, 503):
        yield Fault(f"refuses with HTTP {status}", EVERY, _refused(status))
    yield Fault("falls silent on an open connection", EVERY, _stalls, options={"stall_after": 1.0})
    for name in dict.fromkeys(name for wire in WIRES.values() for name in wire.bad(1)):
        yield Fault(name, tuple(key for key, wire in WIRES.items() if name in wire.bad(1)), _one_bad(name))
    yield Fault("200 operations, the most allowed", (RELAY,), _two_hundred)
    hard = {"hard_frame_bytes": HARD}
    yield Fault("two frames too big to be received", (RELAY,), _too_big_to_receive, options=hard, exact=False)
    yield Fault("a frame too big to be received", (V2, V1), _too_big_to_receive, ("stepped_over",), hard, exact=False)
    yield Fault("what is no websocket", EVERY, _breaks_the_protocol)
    yield Fault("a stretch sent twice", EVERY, _twice)
    yield Fault("a stretch out of order", (V2, V1), _out_of_order)
    yield Fault("a stretch out of order", (RELAY,), _out_of_order, ("seq_jump",), premature=True)
    yield Fault("error frame ConsumerTooSlow", SEQUENCED, _fails("ConsumerTooSlow"))
    yield Fault("an error frame of an unknown name", SEQUENCED, _fails("Novelty"))
    yield Fault("seqs jump without a word", (RELAY,), _jumps, ("seq_jump",))
    yield Fault("one seq lost after a frame that cannot be read", (RELAY,), _loses_one, ("seq_jump",))
    yield Fault("info frame OutdatedCursor", (RELAY,), _outdated, ("outdated_cursor",))
    yield Fault("HTTP 400 CursorTooOld", (V2,), _too_old, ("cursor_too_old",))
    yield Fault("a cursor clamped without a word", (V1,), _clamps, ("cursor_clamped",))
    yield Fault("error frame FutureCursor, seqs begun anew", (RELAY,), _future, ("future_cursor",))
    yield Fault("seqs begun anew without a word", SEQUENCED, _begins_anew, ("seq_reset",))


FAULTS = list(_faults())
