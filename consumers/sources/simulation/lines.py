"""Lines: rows written as Jetstream v1 JSON.

What a line looks like beyond its references is decided by its moment alone, so that it never depends on where
the stream was entered.
"""

from collections.abc import Iterable
from itertools import repeat

import numpy as np

from consumers.sources.simulation import calibration as cal
from consumers.sources.simulation.identifiers import cids, unit
from consumers.sources.simulation.naming import Naming
from consumers.sources.simulation.newcomers import ACTIVE, STATUSES
from consumers.sources.simulation.records import follow_records, other_records, post_records, subject_records, times
from consumers.sources.simulation.rows import Rows

WIRE_JITTER_US = 30_000
"""`time_us` steps back by up to this much from line to line, as on the wire."""
_JITTER = 18

_COLLECTIONS = {
    cal.POST: b"app.bsky.feed.post",
    cal.REPLY: b"app.bsky.feed.post",
    cal.REPOST: b"app.bsky.feed.repost",
    cal.LIKE: b"app.bsky.feed.like",
    cal.FOLLOW: b"app.bsky.graph.follow",
}
_COMMIT = (
    b'{"did":"did:plc:%b","time_us":%d,"kind":"commit","commit":{"rev":"%b","operation":"%b","collection":"%b",'
    b'"rkey":"%b","record":%b,"cid":"bafyrei%b"}}'
)
_DELETE = (
    b'{"did":"did:plc:%b","time_us":%d,"kind":"commit","commit":{"rev":"%b","operation":"delete",'
    b'"collection":"%b","rkey":"%b"}}'
)
_IDENTITY = (
    b'{"did":"did:plc:%b","time_us":%d,"kind":"identity","identity":{"did":"did:plc:%b","handle":"%b.example.com",'
    b'"seq":%d,"time":"%bZ"}}'
)
_ACCOUNT = (
    b'{"did":"did:plc:%b","time_us":%d,"kind":"account","account":{"active":%b,"did":"did:plc:%b","seq":%d,%b'
    b'"time":"%bZ"}}'
)


class Writer:
    """Writes rows as lines under one seed."""

    def __init__(self, seed: int) -> None:
        self._naming = Naming(seed)
        self._seed = seed

    def lines(self, rows: Rows) -> list[bytes]:
        """Return one line a row, in order, without a newline."""
        lines = np.empty(len(rows), dtype=object)
        for kinds, write in (
            ((cal.LIKE, cal.REPOST), self._engagements),
            ((cal.POST, cal.REPLY), self._posts),
            ((cal.FOLLOW,), self._follows),
            ((cal.OTHER, cal.UPDATE), self._others),
            ((cal.DELETE,), self._deletes),
            ((cal.IDENTITY,), self._identities),
            ((cal.ACCOUNT,), self._accounts),
        ):
            where = np.flatnonzero(np.isin(rows.kind, kinds))
            if len(where):
                lines[where] = list(write(rows.take(where)))
        written: list[bytes] = lines.tolist()
        return written

    def _stamps(self, rows: Rows) -> list[int]:
        jitter = unit(rows.moment, self._seed * 16 + _JITTER) * WIRE_JITTER_US
        stamps: list[int] = (rows.moment + jitter.astype(np.int64)).tolist()
        return stamps

    def _created(self, rows: Rows, collections: Iterable[bytes], records: Iterable[bytes]) -> Iterable[bytes]:
        """Return commits that create; a record of ours has the name that others refer to."""
        naming = self._naming
        return map(
            _COMMIT.__mod__,
            zip(
                naming.dids(rows.actor),
                self._stamps(rows),
                naming.revisions(rows.actor, rows.moment),
                repeat(b"create"),
                collections,
                naming.record_keys(rows.actor, rows.moment),
                records,
                cids(rows.moment),
                strict=False,
            ),
        )

    def _engagements(self, rows: Rows) -> Iterable[bytes]:
        return self._created(
            rows, map(_COLLECTIONS.__getitem__, rows.kind.tolist()), subject_records(rows, self._naming)
        )

    def _posts(self, rows: Rows) -> Iterable[bytes]:
        return self._created(rows, repeat(_COLLECTIONS[cal.POST]), post_records(rows, self._naming))

    def _follows(self, rows: Rows) -> Iterable[bytes]:
        return self._created(rows, repeat(_COLLECTIONS[cal.FOLLOW]), follow_records(rows, self._naming))

    def _others(self, rows: Rows) -> Iterable[bytes]:
        """Return commits of other collections, and updates of profiles, whose key is `self`."""
        naming = self._naming
        told = zip(
            naming.dids(rows.actor),
            self._stamps(rows),
            naming.revisions(rows.actor, rows.moment),
            (rows.kind == cal.UPDATE).tolist(),
            naming.record_keys(rows.actor, rows.moment),
            other_records(rows, naming),
            cids(rows.moment),
            strict=True,
        )
        for did, stamp, rev, updates, key, (collection, record), cid in told:
            operation, name = (b"update", b"self") if updates else (b"create", key)
            yield _COMMIT % (did, stamp, rev, operation, collection, name, record, cid)

    def _deletes(self, rows: Rows) -> Iterable[bytes]:
        return map(
            _DELETE.__mod__,
            zip(
                self._naming.dids(rows.actor),
                self._stamps(rows),
                self._naming.revisions(rows.actor, rows.moment),
                map(_COLLECTIONS.__getitem__, rows.target.tolist()),
                self._naming.record_keys(rows.actor, rows.target_moment),
                strict=True,
            ),
        )

    def _identities(self, rows: Rows) -> Iterable[bytes]:
        names = self._naming.dids(rows.actor)
        sequence: list[int] = (rows.moment // cal.SLOTS).tolist()
        stamps = self._stamps(rows)
        return map(_IDENTITY.__mod__, zip(names, stamps, names, names, sequence, times(rows.moment), strict=True))

    def _accounts(self, rows: Rows) -> Iterable[bytes]:
        names = self._naming.dids(rows.actor)
        sequence: list[int] = (rows.moment // cal.SLOTS).tolist()
        told = zip(names, self._stamps(rows), rows.mood.tolist(), sequence, times(rows.moment), strict=True)
        for did, stamp, status, seq, time in told:
            active = status == ACTIVE
            member = b"" if active else b'"status":"%b",' % STATUSES[status]
            yield _ACCOUNT % (did, stamp, b"true" if active else b"false", did, seq, member, time)
