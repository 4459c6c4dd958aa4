"""Accounts on a PDS: what a person's client does, through the PDS's own calls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from tests.servers.pds import Pds

FEED = "app.bsky.feed"


@dataclass(frozen=True)
class Ref:
    """A record that was created, and the revision of its repository in which it was."""

    uri: str
    cid: str
    rev: str

    @property
    def as_json(self) -> dict[str, str]:
        return {"uri": self.uri, "cid": self.cid}


@dataclass
class Accounts:
    """Signs up accounts on one PDS."""

    pds: Pds
    http: httpx.AsyncClient

    async def sign_up(self, name: str) -> "Account":
        """Create `<name>.test`; its DID is the PLC directory's."""
        body = {"handle": f"{name}.test", "email": f"{name}@example.com", "password": f"{name}-secret"}
        made = await call(self.http, "com.atproto.server.createAccount", body)
        return Account(self, name, made["did"], made["accessJwt"])

    async def admin(self, method: str, body: dict[str, Any]) -> None:
        """Call as the PDS's administrator."""
        await call(self.http, method, body, auth=httpx.BasicAuth("admin", self.pds.admin_password))


@dataclass
class Account:
    """One signed-up account; each method is one thing that a person does."""

    home: Accounts
    name: str
    did: str
    token: str

    async def _call(self, method: str, body: dict[str, Any] | None) -> dict[str, Any]:
        return await call(self.home.http, method, body, headers={"Authorization": f"Bearer {self.token}"})

    async def create(self, collection: str, record: dict[str, Any]) -> Ref:
        record = {"$type": collection, "createdAt": datetime.now(UTC).isoformat(), **record}
        body = {"repo": self.did, "collection": collection, "record": record}
        made = await self._call("com.atproto.repo.createRecord", body)
        return Ref(made["uri"], made["cid"], made["commit"]["rev"])

    async def post(
        self,
        text: str,
        *,
        langs: tuple[str, ...] | None = ("en",),
        parent: Ref | None = None,
        root: Ref | None = None,
        quote: Ref | None = None,
        media: bool = False,
    ) -> Ref:
        """Post; a reply has a parent (and a root, by default the parent), a quote may have media beside it."""
        record: dict[str, Any] = {"text": text}
        if langs is not None:
            record["langs"] = list(langs)
        if parent is not None:
            record["reply"] = {"parent": parent.as_json, "root": (root or parent).as_json}
        if quote is not None:
            record["embed"] = {"$type": "app.bsky.embed.record", "record": quote.as_json}
        if media and quote is not None:
            external = {"uri": "https://example.com/", "title": "Notes", "description": ""}
            record["embed"] = {
                "$type": "app.bsky.embed.recordWithMedia",
                "record": record["embed"],
                "media": {"$type": "app.bsky.embed.external", "external": external},
            }
        return await self.create(f"{FEED}.post", record)

    async def like(self, post: Ref) -> Ref:
        return await self.create(f"{FEED}.like", {"subject": post.as_json})

    async def repost(self, post: Ref) -> Ref:
        return await self.create(f"{FEED}.repost", {"subject": post.as_json})

    async def follow(self, other: Self) -> Ref:
        return await self.create("app.bsky.graph.follow", {"subject": other.did})

    async def undo(self, record: Ref) -> None:
        """Delete a record of one's own."""
        collection, rkey = record.uri.rsplit("/", 2)[1:]
        await self._call("com.atproto.repo.deleteRecord", {"repo": self.did, "collection": collection, "rkey": rkey})

    async def write(self, writes: list[dict[str, Any]]) -> None:
        """Apply many writes in one commit."""
        await self._call("com.atproto.repo.applyWrites", {"repo": self.did, "writes": writes})

    async def deactivate(self) -> None:
        await self._call("com.atproto.server.deactivateAccount", {})

    async def activate(self) -> None:
        await self._call("com.atproto.server.activateAccount", None)

    async def delete(self) -> None:
        """Leave for ever."""
        await self.home.admin("com.atproto.admin.deleteAccount", {"did": self.did})

    async def be_taken_down(self) -> None:
        subject = {"$type": "com.atproto.admin.defs#repoRef", "did": self.did}
        body = {"subject": subject, "takedown": {"applied": True, "ref": "test"}}
        await self.home.admin("com.atproto.admin.updateSubjectStatus", body)


async def call(http: httpx.AsyncClient, method: str, body: dict[str, Any] | None, **extra: Any) -> dict[str, Any]:
    """Call a procedure; a refusal is an AssertionError with the PDS's own words."""
    answer = await http.post(f"/xrpc/{method}", json=body, **extra)
    assert answer.is_success, f"{method}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else {}


@asynccontextmanager
async def accounts(pds: Pds) -> AsyncIterator[Accounts]:
    """Accounts on this PDS."""
    async with httpx.AsyncClient(base_url=pds.url, timeout=30.0) as http:
        yield Accounts(pds, http)
