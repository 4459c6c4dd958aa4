"""The simulator as a source: the same bytes however it is entered or paced, each line what a live host would send."""

import asyncio
from collections import Counter
from itertools import pairwise

import orjson
import pytest
from atproto_client.models import string_formats
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from consumers.scoring import no_score
from consumers.sources import SourceError
from consumers.sources.simulator import SimulatedSource, default_plant

STRICT = {"strict_string_format": True}
DURATION, SHORT = 240.0, 60.0
PHENOMENA = ("cascade", "polarization", "burst")


def simulated(*, planted: float = DURATION, **changes) -> SimulatedSource:
    """Simulate with plants at the shares of `planted` seconds that are theirs by default."""
    accounts = changes.pop("accounts", 2_000)
    given_ = {
        "accounts": accounts,
        "seed": 7,
        "rate": 40.0,
        "duration": planted,
        "plants": [default_plant(phenomenon, accounts, planted) for phenomenon in PHENOMENA],
        "score": no_score,
        **changes,
    }
    return SimulatedSource(**given_)


def drawn(source: SimulatedSource, cursor: int | None = None) -> tuple[list[int], list[bytes]]:
    moments, lines = [], []
    for chunk in source.chunks(cursor):
        moments += chunk.moments.tolist()
        lines += chunk.lines
    return moments, lines


@pytest.fixture(scope="module")
def whole() -> tuple[list[int], list[bytes]]:
    return drawn(simulated())


@pytest.fixture(scope="module")
def short() -> tuple[list[int], list[bytes]]:
    return drawn(simulated(planted=SHORT))


@pytest.fixture(scope="module")
def documents(whole) -> list[dict]:
    return [orjson.loads(line) for line in whole[1]]


def creates(documents: list[dict], collection: str) -> list[dict]:
    return [
        document
        for document in documents
        if document["kind"] == "commit"
        and document["commit"]["operation"] == "create"
        and document["commit"]["collection"] == collection
    ]


def test_the_same_seed_gives_the_same_bytes(whole):
    assert drawn(simulated()) == whole


def test_another_seed_gives_other_bytes(whole):
    assert not set(drawn(simulated(seed=8))[1]) & set(whole[1])


@settings(max_examples=15, deadline=None)
@given(share=st.floats(0, 1), off=st.integers(-1, 1))
def test_any_cursor_is_followed_by_exactly_what_came_after_it(short, share, off):
    moments, lines = short
    place = min(int(share * len(moments)), len(moments) - 1)
    cursor = moments[place] + off
    following = next((index for index, moment in enumerate(moments) if moment > cursor), len(moments))
    assert drawn(simulated(planted=SHORT), cursor) == (moments[following:], lines[following:])


def test_a_longer_duration_begins_with_the_same_lines(whole):
    assert drawn(simulated(duration=DURATION * 1.5))[1][: len(whole[1])] == whole[1]


def test_moments_are_unique_and_rise_while_time_us_steps_back_a_little(whole, documents):
    assert all(before < after for before, after in pairwise(whole[0]))
    steps = [after["time_us"] - before["time_us"] for before, after in pairwise(documents)]
    assert -30_000 <= min(steps) < 0
    assert all(
        0 <= document["time_us"] - moment <= 30_000 for moment, document in zip(whole[0], documents, strict=True)
    )


def strings(value, key=""):
    """Yield every string of a document with the name of the member that holds it."""
    if isinstance(value, dict):
        for inner, member in value.items():
            yield from strings(member, inner)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member, key)
    elif isinstance(value, str):
        yield key, value


FORMS = {
    "did": string_formats.Did,
    "rev": string_formats.Tid,
    "uri": string_formats.AtUri,
    "post": string_formats.AtUri,
    "cid": string_formats.Cid,
    "$link": string_formats.Cid,
    "time": string_formats.DateTime,
    "createdAt": string_formats.DateTime,
    "playedTime": string_formats.DateTime,
    "collection": string_formats.Nsid,
    "handle": string_formats.Handle,
}


def test_every_identifier_is_valid(documents):
    forms = {name: TypeAdapter(form) for name, form in FORMS.items()}
    seen = set()
    for document in documents:
        for name, value in strings(document):
            if name in forms and not value.startswith("https:"):
                forms[name].validate_python(value, context=STRICT)
                seen.add(name)
        if document.get("commit", {}).get("rkey", "self") != "self":
            forms["rev"].validate_python(document["commit"]["rkey"], context=STRICT)
    assert seen == set(FORMS)


def test_records_are_what_the_lexicon_says(documents):
    from atproto_client import models

    kinds = {
        "app.bsky.feed.post": models.AppBskyFeedPost.Record,
        "app.bsky.feed.like": models.AppBskyFeedLike.Record,
        "app.bsky.feed.repost": models.AppBskyFeedRepost.Record,
        "app.bsky.graph.follow": models.AppBskyGraphFollow.Record,
    }
    for collection, kind in kinds.items():
        for document in creates(documents, collection)[:300]:
            record = {"createdAt": "2026-07-04T12:00:00Z", **document["commit"]["record"]}
            kind.model_validate(record, context=STRICT)


def test_no_record_is_created_twice_and_revisions_rise_with_each_commit_of_an_account(documents):
    commits = [document for document in documents if document["kind"] == "commit"]
    made = [
        (document["did"], document["commit"]["collection"], document["commit"]["rkey"])
        for document in commits
        if document["commit"]["operation"] == "create"
    ]
    assert len(made) == len(set(made))
    last: dict[str, str] = {}
    for document in commits:
        assert document["commit"]["rev"] > last.get(document["did"], "")
        last[document["did"]] = document["commit"]["rev"]


def test_what_is_undone_was_done_before_by_the_same_account_and_is_undone_once():
    documents = [orjson.loads(line) for line in drawn(simulated(duration=1_500.0, plants=()))[1]]
    place = {}
    undone = []
    for index, document in enumerate(documents):
        commit = document.get("commit", {"operation": None})
        if commit["operation"] is None:
            continue
        key = (document["did"], commit["collection"], commit["rkey"])
        if commit["operation"] == "create":
            place[key] = index
        elif commit["operation"] == "delete":
            undone.append((key, index))
    assert len({key for key, _ in undone}) == len(undone)
    later = [(key, index) for key, index in undone if index > len(documents) * 0.7]
    assert later
    assert all(key in place and place[key] < index for key, index in later)


def test_engagements_come_after_the_posts_they_meet(documents):
    written = {
        f"at://{document['did']}/app.bsky.feed.post/{document['commit']['rkey']}": index
        for index, document in enumerate(documents)
        if document in creates([document], "app.bsky.feed.post")
    }
    met = [
        (written[uri], index)
        for index, document in enumerate(documents)
        if document in creates([document], "app.bsky.feed.like")
        and (uri := document["commit"]["record"]["subject"]["uri"]) in written
    ]
    assert len(met) > 100
    assert all(post < like for post, like in met)


def test_the_oddities_of_the_real_network_are_there():
    text = b"\n".join(drawn(simulated(duration=1_200.0))[1])
    posts = [orjson.loads(line) for line in text.split(b"\n") if b'"text"' in line]
    records = [document["commit"]["record"] for document in posts]
    embeds = Counter(record.get("embed", {}).get("$type") for record in records)
    assert {"app.bsky.embed.record", "app.bsky.embed.recordWithMedia", "app.bsky.embed.images"} <= set(embeds)
    assert any("langs" not in record for record in records)
    assert any("embed" in record and "reply" in record and "record" in record["embed"] for record in records)
    assert any(record["reply"]["parent"] != record["reply"]["root"] for record in records if "reply" in record)
    assert any("createdAt" not in record for record in records)
    for oddity in (b"+00:00", b'"via"', b"fm.example.play", b"app.bsky.feed.generator", b"starterpack", b'"update"'):
        assert oddity in text
    for status in (b"deleted", b"deactivated", b"takendown", b"suspended"):
        assert b'"active":false' in text
        assert b'"status":"' + status in text


async def test_the_decoder_accepts_every_line_of_ours_and_the_deliveries_account_for_all(whole):
    deliveries = [delivery async for delivery in simulated().deliveries(None)]
    assert sum(delivery.frames for delivery in deliveries) == len(whole[1])
    assert not any(delivery.rejected for delivery in deliveries)
    ignored = sum((delivery.ignored for delivery in deliveries), Counter())
    assert sum(delivery.accepted for delivery in deliveries) + ignored.total() == len(whole[1])
    assert deliveries[-1].cursor == whole[0][-1]
    assert {event.src for delivery in deliveries for event in delivery.events} == {"sim:7"}
    kinds = {event.kind for delivery in deliveries for event in delivery.events}
    assert kinds == {"post", "reply", "quote", "repost", "like", "follow", "retract", "account", "identity"}


async def test_deliveries_resume_from_the_cursor_of_any_delivery():
    deliveries = [delivery async for delivery in simulated().deliveries(None)]
    half = len(deliveries) // 2
    again = [delivery async for delivery in simulated().deliveries(deliveries[half - 1].cursor)]
    events = [event for delivery in deliveries[half:] for event in delivery.events]
    assert [event for delivery in again for event in delivery.events] == events


class Clock:
    """Time that passes only while someone sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept = 0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds > 0
        await asyncio.sleep(0)


@pytest.mark.parametrize("speed", [1.0, 60.0])
async def test_lines_come_at_the_pace_of_the_clock_and_are_the_same(whole, speed):
    clock = Clock()
    source = simulated(speed=speed, clock=clock, sleep=clock.sleep)
    lines, late = [], []
    async for piece in source.slices():
        lines += piece.lines
        late.append((clock.now - 1_000.0) - (int(piece.moments[0]) - source.start) / 1e6 / speed)
    assert lines == whole[1]
    assert clock.now - 1_000.0 == pytest.approx(DURATION / speed, rel=0.02)
    assert max(late) <= 0.21
    assert min(late) >= -1e-6


async def test_without_a_speed_nothing_waits():
    clock = Clock()
    async for _ in simulated(clock=clock, sleep=clock.sleep).slices():
        pass
    assert clock.slept == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"accounts": 50, "plants": ()}, "accounts"),
        ({"rate": 0.0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"speed": -1.0}, "speed"),
        ({"duration": 0.0}, "duration"),
        ({"seed": -1}, "seed"),
        ({"rhythm": 1.0}, "rhythm"),
        ({"plants": [default_plant("burst", 2_000, 60.0)] * 13}, "number of plants"),
        ({"accounts": 100, "plants": [default_plant("burst", 1_000_000, 60.0)]}, "burst"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_one_sentence(changes, named):
    with pytest.raises(SourceError, match=named):
        simulated(**changes)


@pytest.mark.parametrize("accounts", [100, 1_000, 3_000_000])
def test_any_size_starts_at_the_real_rate(accounts):
    source = SimulatedSource(accounts=accounts, seed=1, duration=None)
    chunks = source.chunks()
    lines = [line for _ in range(3) for line in next(chunks).lines]
    assert all(orjson.loads(line)["time_us"] >= source.start for line in lines)
    assert len(lines) > 1_000 or accounts < 10_000
