"""What accounts, posts and records are called under one seed."""

from dataclasses import dataclass

from consumers.sources.simulation.identifiers import Integers, Words, cids, dids, mix, tids

RECORD_LEAD_US = 612_000
"""How much earlier than its receipt a record's key was made."""
REV_LEAD_US = 9_000
"""How much earlier than its receipt a commit's revision was made: after the record's key."""

_CLOCKS = 17


@dataclass(slots=True, frozen=True)
class Naming:
    """Names accounts by their number, and what they did by its moment."""

    seed: int

    def dids(self, accounts: Integers) -> list[bytes]:
        """Return the letters of each account's DID after `did:plc:`."""
        return dids(accounts, self.seed)

    def clocks(self, accounts: Integers) -> Words:
        """Return the clock identifier that an account's TIDs carry."""
        return mix(accounts, self.seed * 16 + _CLOCKS)

    def record_keys(self, accounts: Integers, moments: Integers) -> list[bytes]:
        """Return the record key of what each account created at a moment."""
        return tids(moments - RECORD_LEAD_US, self.clocks(accounts))

    def revisions(self, accounts: Integers, moments: Integers) -> list[bytes]:
        """Return the revision of what each account committed at a moment."""
        return tids(moments - REV_LEAD_US, self.clocks(accounts))

    def references(self, accounts: Integers, moments: Integers) -> list[tuple[bytes, bytes, bytes]]:
        """Return the CID, DID and record key of posts, as `REFERENCE` takes them."""
        return list(zip(cids(moments), self.dids(accounts), self.record_keys(accounts, moments), strict=True))


REFERENCE = b'{"cid":"bafyrei%b","uri":"at://did:plc:%b/app.bsky.feed.post/%b"}'
