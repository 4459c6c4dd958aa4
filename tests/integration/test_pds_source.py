"""A real PDS → relay source: the agent events are what was done, and what the PDS says of its stream is heard."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from consumers.scoring import load_scorer
from consumers.sources import Delivery
from consumers.sources.relay import RelaySource
from consumers.sources.websocket import SocketOptions
from tests.deliveries import until
from tests.integration.play import ANGRY, Cast, Ledger, first_scene, second_scene, sign_up, third_scene
from tests.servers.pds import Pds
from tests.servers.pds_accounts import Accounts, accounts

pytestmark = pytest.mark.pds


def relay(pds: Pds, **options: float) -> RelaySource:
    quick = SocketOptions(**{"backoff_first": 0.05, "backoff_most": 0.2, **options})
    return RelaySource(pds.host, dense=False, check_cids=True, score=load_scorer(), options=quick, random=Random(1))


def holds(uri: str) -> Callable[[Delivery], bool]:
    return lambda delivery: any(event.uri == uri for event in delivery.events)


async def act(home: Accounts, prefix: str) -> tuple[Cast, str]:
    ledger = Ledger()
    cast = await sign_up(home, prefix)
    await first_scene(cast, ledger)
    await second_scene(cast, ledger)
    return cast, (await third_scene(cast, ledger)).uri


async def test_events_are_what_was_done(pds):
    async with accounts(pds) as home:
        ledger = Ledger()
        cast = await sign_up(home, "done")
        last = (await first_scene(cast, ledger)).uri
    heard = await until(relay(pds), holds(last), cursor=0)
    ours = {account.did for account in cast.all}
    acts = [event for event in heard.events if event.agent in ours and event.kind not in ("account", "identity")]
    counted = ledger.events.copy()
    assert {(e.agent, e.role, e.kind, e.peer) for e in acts} == set(counted)
    for event in acts:
        counted[event.agent, event.role, event.kind, event.peer] -= 1
    assert not +counted
    assert not -counted
    assert not heard.rejected
    assert not heard.gaps
    assert heard.ignored["other_collection"] >= 2


async def test_accounts_come_and_go_with_their_status(pds):
    async with accounts(pds) as home:
        cast, last = await act(home, "status")
    heard = await until(relay(pds), holds(last), cursor=0)
    statuses = {
        account.name.removeprefix("status-"): [
            event.status for event in heard.events if event.agent == account.did and event.kind == "account"
        ]
        for account in cast.all
    }
    assert statuses == {
        "alice": ["active"],
        "bob": ["active", "takendown"],
        "carol": ["active"],
        "dave": ["active", "deactivated", "active"],
        "erin": ["deleted"],  # a PDS takes all else of a deleted account out of its stream
    }


async def test_several_writes_of_one_commit_are_told_apart_by_their_index(pds):
    async with accounts(pds) as home:
        cast, last = await act(home, "many")
    heard = await until(relay(pds), holds(last), cursor=0)
    likes = [e for e in heard.events if e.agent == cast.carol.did and e.kind == "like" and e.role == "actor"]
    together = [event for event in likes if event.seq == likes[0].seq]
    assert [event.op for event in together] == [0, 1, 2]
    assert len({event.rev for event in together}) == 1


async def test_a_live_source_hears_what_is_done_while_it_listens(pds):
    async with accounts(pds) as home:
        before = await home.sign_up("live-before")
        await until(relay(pds), holds((await before.post(ANGRY)).uri), cursor=0)
        author = await home.sign_up("live-author")
        source = relay(pds)
        listening = asyncio.create_task(
            until(source, lambda d: any(e.agent == author.did and e.kind == "post" for e in d.events))
        )
        while not listening.done():  # the connection stands a moment later
            await author.post(ANGRY)
            await asyncio.wait({listening}, timeout=0.2)
        heard = listening.result()
    assert before.did not in {event.agent for event in heard.events}


async def test_any_cursor_goes_on_exactly_after_it(pds):
    async with accounts(pds) as home:
        _, last = await act(home, "cursor")
    whole = await until(relay(pds), holds(last), cursor=0)
    seqs = sorted({event.seq for event in whole.events})
    for cursor in (seqs[0], seqs[len(seqs) // 2], seqs[-2]):
        rest = await until(relay(pds), holds(last), cursor=cursor)
        assert rest.events == [event for event in whole.events if event.seq > cursor]
