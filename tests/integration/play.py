"""A play on a PDS: a few people act, and a ledger keeps what each act must count for, written down by hand."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from tests.servers.pds_accounts import Account, Accounts, Ref

GLAD = "I love this wonderful day"
ANGRY = "This is terrible, I hate it"
PLAIN = "The train leaves at nine"
GERMAN = "Der Zug kommt um neun, wie schrecklich"

ACT = {
    "post": "posts",
    "reply": "replies",
    "quote": "quotes",
    "repost": "reposts",
    "like": "likes",
    "follow": "follows",
}
RECEIVED = {kind: f"{column}_in" for kind, column in ACT.items()}

Said = tuple[str, str, str, str | None]
"""agent, role, kind, peer."""


@dataclass
class Ledger:
    """What was done: agent events by agent, role, kind and peer, and each agent's counts."""

    events: Counter[Said] = field(default_factory=Counter)
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def act(self, actor: Account, kind: str, *targets: tuple[Account, str], english: str | None = None) -> None:
        """Note an act and, for each other account it touches, of which kind it is there."""
        first = targets[0][0].did if targets and targets[0][0] is not actor else None
        self.events[actor.did, "actor", kind, first] += 1
        self._of(actor)[ACT[kind]] += 1
        if english is not None:
            compound = SentimentIntensityAnalyzer().polarity_scores(english)["compound"]
            self._of(actor).update(scored=1, valence=round(compound * 10_000), alarm=int(compound <= -0.5))
        for target, what in targets:
            if target is not actor:
                self.events[target.did, "target", what, actor.did] += 1
                self._of(target)[RECEIVED[what]] += 1

    def undo(self, actor: Account) -> None:
        """Note that something was undone: it happened all the same."""
        self.events[actor.did, "actor", "retract", None] += 1

    def forget(self, gone: Account) -> None:
        """Note that an account is gone, with all that counted for it."""
        self.counts.pop(gone.did, None)

    def _of(self, account: Account) -> Counter[str]:
        return self.counts.setdefault(account.did, Counter())


@dataclass
class Cast:
    """Who plays, and the posts that later scenes come back to."""

    alice: Account
    bob: Account
    carol: Account
    dave: Account
    erin: Account
    posts: dict[str, Ref] = field(default_factory=dict)

    @property
    def all(self) -> list[Account]:
        return [self.alice, self.bob, self.carol, self.dave, self.erin]


async def sign_up(home: Accounts, prefix: str) -> Cast:
    """Sign up the cast; `prefix` keeps its handles apart from those of other plays on the same PDS."""
    return Cast(*[await home.sign_up(f"{prefix}-{name}") for name in ("alice", "bob", "carol", "dave", "erin")])


async def first_scene(cast: Cast, ledger: Ledger) -> Ref:
    """Everything that counts, and what does not; return the last record of it."""
    alice, bob, carol, dave, erin = cast.all
    glad = await alice.post(GLAD)
    ledger.act(alice, "post", english=GLAD)
    german = await alice.post(GERMAN, langs=("de",))
    ledger.act(alice, "post")
    await alice.post(ANGRY, langs=None)
    ledger.act(alice, "post")

    angry = await bob.post(ANGRY, parent=glad)
    ledger.act(bob, "reply", (alice, "reply"), english=ANGRY)
    await bob.post(PLAIN, quote=glad, langs=("en-GB", "de"))
    ledger.act(bob, "quote", (alice, "quote"), english=PLAIN)
    shown = await carol.post(GLAD, quote=glad, media=True)
    ledger.act(carol, "quote", (alice, "quote"), english=GLAD)
    await carol.post(ANGRY, parent=angry, root=glad, quote=german)
    ledger.act(carol, "reply", (bob, "reply"), (alice, "quote"), english=ANGRY)

    for post in (glad, german):
        await dave.like(post)
        ledger.act(dave, "like", (alice, "like"))
    own = await dave.post(PLAIN)
    ledger.act(dave, "post", english=PLAIN)
    await dave.like(own)
    ledger.act(dave, "like")
    for reposter in (dave, erin):
        await reposter.repost(glad)
        ledger.act(reposter, "repost", (alice, "repost"))
    await erin.like(angry)
    ledger.act(erin, "like", (bob, "like"))
    await _follows(cast, ledger)

    await carol.undo(shown)
    ledger.undo(carol)
    await carol.write([_like(post) for post in (glad, german, angry)])
    for author in (alice, alice, bob):
        ledger.act(carol, "like", (author, "like"))
    await alice.create("app.bsky.graph.block", {"subject": bob.did})
    await alice.create("com.example.play", {"artist": "nobody"})
    cast.posts = {"glad": glad, "angry": angry}
    last = await erin.like(glad)
    ledger.act(erin, "like", (alice, "like"))
    return last


async def _follows(cast: Cast, ledger: Ledger) -> None:
    for follower in (cast.erin, cast.bob):
        await follower.follow(cast.alice)
        ledger.act(follower, "follow", (cast.alice, "follow"))
    follow = await cast.bob.follow(cast.carol)
    ledger.act(cast.bob, "follow", (cast.carol, "follow"))
    await cast.bob.undo(follow)
    ledger.undo(cast.bob)


async def second_scene(cast: Cast, ledger: Ledger) -> Ref:
    """Erin leaves for ever, Dave for a while, Bob is taken down; the others go on; return the last record."""
    await cast.erin.delete()
    await cast.dave.deactivate()
    await cast.bob.be_taken_down()
    for gone in (cast.erin, cast.dave, cast.bob):
        ledger.forget(gone)
    last = await cast.carol.like(cast.posts["glad"])
    ledger.act(cast.carol, "like", (cast.alice, "like"))
    return last


async def third_scene(cast: Cast, ledger: Ledger) -> Ref:
    """Dave comes back and counts anew; return the last record."""
    await cast.dave.activate()
    last = await cast.dave.post(ANGRY)
    ledger.act(cast.dave, "post", english=ANGRY)
    return last


def _like(post: Ref) -> dict[str, Any]:
    return {
        "$type": "com.atproto.repo.applyWrites#create",
        "collection": "app.bsky.feed.like",
        "value": {"$type": "app.bsky.feed.like", "createdAt": "2026-07-04T12:00:00Z", "subject": post.as_json},
    }
