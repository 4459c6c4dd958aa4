"""`com.atproto.sync.subscribeRepos` of a relay or of one PDS: `relay:{host}`."""

from collections.abc import Callable
from random import Random

from consumers.scoring import Scorer
from consumers.sources import Delivery
from consumers.sources.decoding.reading import Mark, Notice
from consumers.sources.decoding.relay import decode_frame
from consumers.sources.live import system_clock
from consumers.sources.sequenced import SequencedSource
from consumers.sources.websocket import Refused, SocketOptions


class RelaySource(SequencedSource):
    """The stream of a relay (`dense`: its seqs have no holes) or of a PDS, which skips seqs.

    The cursor is the last seq read. Gaps: `outdated_cursor` and `future_cursor` where the host says so, `seq_jump`
    where a dense host's seqs jump, `seq_reset` where they began anew.
    """

    def __init__(
        self,
        host: str,
        *,
        dense: bool = True,
        check_cids: bool = False,
        score: Scorer | None = None,
        options: SocketOptions | None = None,
        now: Callable[[], int] = system_clock,
        random: Random | None = None,
    ) -> None:
        """`check_cids` holds every record against the hash that names it."""
        super().__init__("relay", host, score=score, options=options, now=now, random=random, check_cids=check_cids)
        self._is_dense = dense

    @property
    def starts_at_times(self) -> bool:
        """A relay's cursor is a seq of its own and nothing else."""
        return False

    @property
    def _dense(self) -> bool:
        return self._is_dense

    def _address(self) -> str:
        address = f"{self._url}/xrpc/com.atproto.sync.subscribeRepos"
        wire = self._continuity.wire
        return address if wire is None else f"{address}?cursor={wire + self._skip}"

    def _decode(self, frame: bytes, into: Delivery) -> Mark | Notice | None:
        return decode_frame(frame, self._reading, into, self._continuity.seq or 0)

    def _noticed(self, said: Notice) -> None:
        if said.name == "OutdatedCursor":
            self._continuity.cause = "outdated_cursor"
        elif said.name == "FutureCursor":
            self._continuity.restart("future_cursor")

    def _refused(self, refusal: Refused) -> None:
        """Nothing to do but to try again: the protocol refuses no cursor at the handshake."""
