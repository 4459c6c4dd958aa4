"""What every protocol's bytes become. One way of writing each case, spoken in all three protocols."""

import json
from typing import Any

import pytest
from libipld import encode_dag_cbor

from consumers.events import Event
from consumers.scoring import no_score
from consumers.sources import Delivery
from consumers.sources.decoding.jetstream1 import decode_line
from consumers.sources.decoding.jetstream2 import decode_message
from consumers.sources.decoding.reading import MAX_SEQ, REASONS, Mark, Notice, Reading
from consumers.sources.decoding.relay import decode_frame
from tests.unit.consumers.corpus import raw_frames, v1_lines
from tests.unit.consumers.frames import (
    ACTOR,
    LIKE,
    OTHER,
    POST,
    REV,
    THIRD,
    TIME,
    TIME_US,
    commit_frame,
    commit_line,
    frame,
    like,
    like_line,
    post_uri,
    v2_message,
)

REPOST = "app.bsky.feed.repost"
FOLLOW = "app.bsky.graph.follow"


def reading(src: str = "relay:test", **changes: Any) -> Reading:
    made = Reading(src, 0, changes.pop("score", no_score), **changes)
    made.at(TIME_US)
    return made


def v1(line: bytes, **changes: Any) -> Delivery:
    delivery = Delivery()
    decode_line(line, reading("jetstream1:test", **changes), delivery, 7)
    return delivery


def v2(message: bytes, **changes: Any) -> Delivery:
    delivery = Delivery()
    decode_message(message, reading("jetstream2:test", **changes), delivery, 7)
    return delivery


def relay(data: bytes, **changes: Any) -> Delivery:
    delivery = Delivery()
    decode_frame(data, reading(**changes), delivery, 7)
    return delivery


def _create_v2(collection: str, record: Any) -> bytes:
    return v2_message(collection=collection, record=record)


SPOKEN = {
    "jetstream1": lambda collection, record, **changes: v1(commit_line(collection, record), **changes),
    "jetstream2": lambda collection, record, **changes: v2(_create_v2(collection, record), **changes),
    "relay": lambda collection, record, **changes: relay(commit_frame([(collection, record)]), **changes),
}


@pytest.fixture(params=SPOKEN)
def created(request):
    return SPOKEN[request.param]


def said(delivery: Delivery) -> list[tuple[str, str, str, str | None]]:
    assert not delivery.rejected
    return [(event.agent, event.role, event.kind, event.peer) for event in delivery.events]


def reason(delivery: Delivery) -> str:
    assert not delivery.events
    assert delivery.operations == len(delivery.rejected) == 1
    assert delivery.rejected[0].reason in REASONS
    return delivery.rejected[0].reason


def quote(uri: str, *, media: bool = False) -> dict[str, Any]:
    record = {"$type": "app.bsky.embed.record", "record": {"cid": "bafy", "uri": uri}}
    if media:
        return {"$type": "app.bsky.embed.recordWithMedia", "media": {}, "record": record}
    return record


def post(text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"$type": POST, "text": text} | fields


def reply_to(did: str) -> dict[str, Any]:
    return {"parent": {"cid": "bafy", "uri": post_uri(did)}, "root": {"cid": "bafy", "uri": post_uri(THIRD)}}


BOTH = {
    "post": (POST, post(), None),
    "reply": (POST, post(reply=reply_to(OTHER)), OTHER),
    "quote": (POST, post(embed=quote(post_uri())), OTHER),
    "like": (LIKE, like(), OTHER),
    "repost": (REPOST, like(), OTHER),
    "follow": (FOLLOW, {"subject": OTHER}, OTHER),
}


@pytest.mark.parametrize("kind", BOTH)
def test_an_act_is_an_event_for_its_actor_and_one_for_its_target(created, kind):
    collection, record, target = BOTH[kind]
    expected = [(ACTOR, "actor", kind, target)]
    if target is not None:
        expected.append((target, "target", kind, ACTOR))
    assert said(created(collection, record)) == expected


@pytest.mark.parametrize("kind", ["reply", "quote", "like", "repost", "follow"])
def test_acting_on_oneself_makes_no_target_event(created, kind):
    collection, record, _ = BOTH[kind]
    own = json.loads(json.dumps(record).replace(OTHER, ACTOR))
    assert said(created(collection, own)) == [(ACTOR, "actor", kind, None)]


def test_a_reply_with_a_quote_is_a_reply_whose_quoted_author_gets_a_quote(created):
    both = post(reply=reply_to(OTHER), embed=quote(post_uri(THIRD)))
    assert said(created(POST, both)) == [
        (ACTOR, "actor", "reply", OTHER),
        (OTHER, "target", "reply", ACTOR),
        (THIRD, "target", "quote", ACTOR),
    ]


def test_who_is_replied_to_and_quoted_at_once_gets_both(created):
    both = post(reply=reply_to(OTHER), embed=quote(post_uri(OTHER)))
    assert said(created(POST, both))[1:] == [(OTHER, "target", "reply", ACTOR), (OTHER, "target", "quote", ACTOR)]


def test_a_reply_to_oneself_that_quotes_another_reaches_the_other_only(created):
    both = post(reply=reply_to(ACTOR), embed=quote(post_uri(THIRD)))
    assert said(created(POST, both)) == [(ACTOR, "actor", "reply", None), (THIRD, "target", "quote", ACTOR)]


def test_a_quote_with_media_is_a_quote(created):
    assert said(created(POST, post(embed=quote(post_uri(), media=True))))[0][2] == "quote"


@pytest.mark.parametrize("collection", ["app.bsky.graph.list", "app.bsky.feed.generator", "app.bsky.graph.starterpack"])
@pytest.mark.parametrize("media", [True, False])
def test_an_embed_of_anything_but_a_post_is_no_quote(created, collection, media):
    embed = quote(post_uri(OTHER, collection), media=media)
    assert said(created(POST, post(embed=embed))) == [(ACTOR, "actor", "post", None)]


def test_an_embed_of_pictures_is_no_quote(created):
    assert said(created(POST, post(embed={"$type": "app.bsky.embed.images", "images": []})))[0][2] == "post"


def test_a_like_of_a_feed_reaches_its_author(created):
    liked = like(post_uri(OTHER, "app.bsky.feed.generator"))
    assert said(created(LIKE, liked)) == [(ACTOR, "actor", "like", OTHER), (OTHER, "target", "like", ACTOR)]


def test_a_subject_named_by_a_handle_is_an_act_without_a_target(created):
    assert said(created(LIKE, like("at://alice.example/app.bsky.feed.post/3mpsjbtci2c2o"))) == [
        (ACTOR, "actor", "like", None)
    ]


def test_other_collections_are_ignored(created):
    delivery = created("app.bsky.graph.block", {"subject": OTHER})
    assert delivery.ignored == {"other_collection": 1}
    assert not delivery.events


LANGS = {"en": ["en"], "en-GB": ["ja", "en-GB"], "eng": None, "ja": None}


@pytest.mark.parametrize("tag", LANGS)
def test_the_scorer_is_given_text_and_languages_and_its_valence_is_the_actors_only(created, tag):
    langs = LANGS[tag] or [tag]
    asked = []

    def score(text, tags):
        asked.append((text, list(tags)))
        return 0.25

    events = created(POST, post("some text", langs=langs, reply=reply_to(OTHER)), score=score).events
    assert asked == [("some text", langs)]
    assert [event.valence for event in events] == [0.25, None]


@pytest.mark.parametrize("langs", [None, "en", [None, 3], {}])
def test_languages_that_are_none_are_no_fault(created, langs):
    asked = []
    created(POST, post(langs=langs), score=lambda _text, tags: asked.append(tags))
    assert asked == [[]]


MISSHAPEN = {
    "a like without a subject": (LIKE, {}, "missing_field"),
    "a like of no URI": (LIKE, {"subject": {"cid": "bafy"}}, "missing_field"),
    "a like whose subject is text": (LIKE, {"subject": post_uri()}, "wrong_type"),
    "a like of a web page": (LIKE, like("https://example.com/"), "bad_at_uri"),
    "a like of a nameless author": (LIKE, like("at:///app.bsky.feed.post/x"), "bad_at_uri"),
    "a follow without a subject": (FOLLOW, {}, "missing_field"),
    "a follow of what is no DID": (FOLLOW, {"subject": "alice.example"}, "bad_did"),
    "a follow of a number": (FOLLOW, {"subject": 7}, "wrong_type"),
    "a post without text": (POST, {"langs": ["en"]}, "missing_field"),
    "a post whose text is a number": (POST, post(text=7), "wrong_type"),
    "a reply without a parent": (POST, post(reply={"root": {}}), "missing_field"),
    "a reply to what is no URI": (POST, post(reply={"parent": {"uri": "at://"}}), "bad_at_uri"),
    "a quote of nothing": (POST, post(embed={"$type": "app.bsky.embed.record"}), "missing_field"),
    "an embed that is text": (POST, post(embed="text"), "wrong_type"),
}


@pytest.mark.parametrize("case", MISSHAPEN)
def test_a_record_that_is_not_what_it_must_be_is_rejected_by_reason(created, case):
    collection, record, expected = MISSHAPEN[case]
    assert reason(created(collection, record)) == expected


@pytest.mark.parametrize("record", [[], "text", 7])
def test_a_record_that_is_no_object_is_rejected(created, record):
    assert reason(created(LIKE, record)) in {"wrong_type", "bad_block"}


def test_rejections_hold_nothing_of_what_was_said(created):
    (rejected,) = created(POST, {"secret words": 1, "langs": "secret words", "text": ["secret words"]}).rejected
    assert "secret" not in f"{rejected.detail}{rejected.where}{rejected.reason}"


DELETED = {
    "jetstream1": lambda: v1(commit_line(LIKE, None, operation="delete")),
    "jetstream2": lambda: v2(v2_message(operation="delete", record=None)),
    "relay": lambda: relay(commit_frame([(LIKE, None)])),
}


@pytest.mark.parametrize("protocol", DELETED)
def test_a_delete_is_a_retraction_by_its_actor(protocol):
    delivery = DELETED[protocol]()
    assert said(delivery) == [(ACTOR, "actor", "retract", None)]
    assert delivery.events[0].uri.startswith(f"at://{ACTOR}/{LIKE}/3mptbyplj")
    assert delivery.events[0].rev == REV


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"active": True}, "active"),
        ({"active": True, "status": "desynchronized"}, "active"),
        ({"active": False, "status": "takendown"}, "takendown"),
        ({"active": False, "status": "deleted"}, "deleted"),
        ({"active": False}, "deactivated"),
    ],
)
def test_an_account_event_has_its_status(body, status):
    account = {"did": ACTOR, "seq": 3, "time": TIME} | body
    line = json.dumps({"did": ACTOR, "time_us": TIME_US, "kind": "account", "account": account}).encode()
    for delivery in (v1(line), v2(v2_message("account", account=account)), relay(frame("#account", account))):
        assert said(delivery) == [(ACTOR, "actor", "account", None)]
        assert delivery.events[0].status == status
        assert delivery.events[0].t == TIME_US


def test_an_account_event_without_its_state_is_rejected():
    account = {"did": ACTOR, "seq": 3, "time": TIME}
    assert reason(relay(frame("#account", account))) == "missing_field"
    assert reason(relay(frame("#account", account | {"active": "yes"}))) == "wrong_type"


def test_identity_events():
    identity = {"did": ACTOR, "seq": 3, "time": TIME}
    line = json.dumps({"did": ACTOR, "time_us": TIME_US, "kind": "identity", "identity": identity}).encode()
    for delivery in (v1(line), v2(v2_message("identity", identity=identity)), relay(frame("#identity", identity))):
        assert said(delivery) == [(ACTOR, "actor", "identity", None)]


def test_sync_is_ignored_and_info_is_handed_on():
    body = {"did": ACTOR, "seq": 3, "time": TIME, "rev": REV, "blocks": b""}
    assert relay(frame("#sync", body)).ignored == {"sync": 1}
    assert v2(v2_message("sync", sync={})).ignored == {"sync": 1}
    delivery = Delivery()
    info = decode_frame(frame("#info", {"name": "OutdatedCursor"}), reading(), delivery, 0)
    assert info == Notice("OutdatedCursor", "", fatal=False)
    error = decode_frame(frame("", {"error": "FutureCursor", "message": "no"}, op=-1), reading(), delivery, 0)
    assert error == Notice("FutureCursor", "no", fatal=True)
    assert delivery.operations == delivery.ignored.total() == 2


BAD_LINES = {
    "not JSON": (b"{oops", "not_json"),
    "cut short": (like_line()[:-9], "not_json"),
    "not UTF-8": (b'{"did":"\xff"}', "not_json"),
    "empty": (b"", "empty_frame"),
    "not an object": (b"[1,2]", "wrong_type"),
    "of an unknown kind": (json.dumps({"did": ACTOR, "time_us": TIME_US, "kind": "poke"}).encode(), "unknown_kind"),
    "without a time": (json.dumps({"did": ACTOR, "kind": "identity"}).encode(), "missing_field"),
    "with a time that is text": (like_line(time_us="now"), "bad_time"),
    "with a time that is a fraction": (like_line(time_us=1.5), "bad_time"),
    "with a time in 1970": (like_line(time_us=1), "time_out_of_range"),
    "with a time in 2100": (like_line(time_us=4_102_444_800_000_000), "time_out_of_range"),
    "of no DID": (like_line(did="alice.example"), "bad_did"),
    "of a DID with a line break": (like_line(did=ACTOR + "\n"), "bad_did"),
    "with a number for a DID": (like_line(did=3), "wrong_type"),
    "with a key that is none": (like_line(rkey="a/b"), "bad_path"),
    "with a number for a key": (like_line(rkey=7), "wrong_type"),
    "with an unknown operation": (commit_line(LIKE, like(), operation="poke"), "unknown_action"),
    "without a record": (commit_line(LIKE, None), "missing_field"),
    "nested without end": (b'{"a":' * 100_000, "not_json"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_v1_line_is_rejected_by_reason(case):
    line, expected = BAD_LINES[case]
    delivery = v1(line)
    assert reason(delivery) == expected
    assert (delivery.rejected[0].size, delivery.rejected[0].where) == (len(line), "jetstream1:test@7")


BAD_MESSAGES = {
    "not JSON": (b"nonsense", "not_json"),
    "of an unknown type": (json.dumps({"$type": "novelty"}).encode(), "unknown_kind"),
    "of an unknown payload": (v2_message("novelty"), "unknown_kind"),
    "without a payload": (json.dumps({"$type": "message"}).encode(), "missing_field"),
    "with a payload of text": (json.dumps({"$type": "message", "payload": "x"}).encode(), "wrong_type"),
    "without a seq": (v2_message(seq=None), "bad_seq"),
    "with a negative seq": (v2_message(seq=-1), "bad_seq"),
    "with a seq beyond all": (v2_message(seq=MAX_SEQ), "bad_seq"),
    "with a time that is none": (v2_message(time="yesterday"), "bad_time"),
    "with a time without an offset": (v2_message(time="2026-07-04T14:38:07"), "bad_time"),
    "with a time in 2100": (v2_message(time="2100-01-01T00:00:00Z"), "time_out_of_range"),
}


@pytest.mark.parametrize("case", BAD_MESSAGES)
def test_a_bad_v2_message_is_rejected_by_reason(case):
    message, expected = BAD_MESSAGES[case]
    assert reason(v2(message)) == expected


def test_v2_takes_the_time_it_was_witnessed_and_else_its_time():
    assert v2(v2_message(witnessedAt="2026-07-04T14:38:06.000001Z")).events[0].t == 1_783_175_886_000_001
    assert v2(v2_message()).events[0].t == TIME_US


BAD_FRAMES = {
    "empty": (b"", "empty_frame"),
    "garbage": (b"\xff\xff\xff", "not_cbor"),
    "cut short": (commit_frame()[:-9], "not_cbor"),
    "of one item": (encode_dag_cbor({"op": 1, "t": "#commit"}), "not_cbor"),
    "of two numbers": (b"\x01\x02", "wrong_type"),
    "with an unknown op": (encode_dag_cbor({"op": 2, "t": "#commit"}) + encode_dag_cbor({}), "unknown_kind"),
    "of an unknown type": (frame("#novelty", {"seq": 1, "time": TIME}), "unknown_kind"),
    "without a seq": (frame("#identity", {"did": ACTOR, "time": TIME}), "missing_field"),
    "of 201 operations": (commit_frame([(LIKE, None)] * 201), "too_many_ops"),
    "of no DID": (commit_frame(repo="alice.example"), "bad_did"),
    "with a time in 1970": (commit_frame(time="1970-01-01T00:00:00Z"), "time_out_of_range"),
    "without its block": (commit_frame(drop=0), "missing_block"),
    "with a CAR cut short": (commit_frame(blocks=b"\x0a\xa2eroots\x80\x50"), "bad_car"),
    "with an empty CAR": (commit_frame(blocks=b""), "bad_car"),
    "with a path that is none": (commit_frame([("not a path", like())]), "bad_path"),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_a_bad_relay_frame_is_rejected_by_reason(case):
    data, expected = BAD_FRAMES[case]
    assert reason(relay(data)) == expected


def test_nesting_without_end_is_rejected():
    assert reason(relay(b"\x81" * 1_000_000)) == "not_cbor"


def test_every_operation_of_a_commit_is_accounted_for_on_its_own():
    records = [(LIKE, like()), (LIKE, {}), (POST, post()), ("app.bsky.graph.block", {}), (FOLLOW, None)]
    delivery = relay(commit_frame(records, seq=9, drop=2))
    assert (delivery.operations, delivery.accepted, delivery.ignored.total()) == (5, 2, 1)
    assert [rejected.reason for rejected in delivery.rejected] == ["missing_field", "missing_block"]
    assert [(event.kind, event.op, event.seq) for event in delivery.events if event.role == "actor"] == [
        ("like", 0, 9),
        ("retract", 4, 9),
    ]


def test_an_empty_commit_is_a_frame_of_no_operation():
    delivery = Delivery()
    mark = decode_frame(commit_frame([], seq=4), reading(), delivery, 0)
    assert (delivery.frames, delivery.operations, mark) == (1, 0, Mark(4, TIME_US))


def test_two_hundred_operations_are_read():
    assert relay(commit_frame([(LIKE, like())] * 200)).accepted == 200


def test_a_block_that_does_not_have_the_hash_that_names_it_is_rejected_where_asked():
    lying = commit_frame([(POST, post("aaaa"))]).replace(b"aaaa", b"bbbb")
    assert reason(relay(lying, check_cids=True)) == "bad_cid"
    assert relay(lying).accepted == 1


def test_a_frame_that_is_rejected_still_has_its_place():
    delivery = Delivery()
    data = frame("#identity", {"did": "nobody", "seq": 3, "time": TIME})
    assert decode_frame(data, reading(), delivery, 0) == Mark(3, TIME_US)
    assert delivery.rejected[0].where == "relay:test@3"


def test_the_epoch_is_added_to_every_seq():
    base = 2 * MAX_SEQ
    assert relay(commit_frame(seq=5), seq_base=base).events[0].seq == base + 5
    assert v2(v2_message(seq=5), seq_base=base).events[0].seq == base + 5


def key(event: Event) -> tuple[Any, ...]:
    return (event.agent, event.role, event.kind, event.peer, event.rev, event.uri, event.valence, event.status)


def test_frames_and_lines_of_the_same_window_give_the_same_events():
    def score(text: str, langs: Any) -> float:
        return len(text) / 10_000 + len(langs) / 100

    frames, lines = Delivery(), Delivery()
    for number, data in enumerate(raw_frames()):
        decode_frame(data, reading(score=score, check_cids=True), frames, number)
    for number, line in enumerate(v1_lines()):
        decode_line(line, reading(score=score), lines, number)
    assert [key(event) for event in frames.events] == [key(event) for event in lines.events]
    assert (frames.operations, frames.accepted, frames.ignored) == (lines.operations, lines.accepted, lines.ignored)
    assert not frames.rejected
    assert frames.accepted == 149


def test_hand_picked_lines_are_all_understood():
    delivery = Delivery()
    for line in v1_lines("golden_v1.jsonl"):
        decode_line(line, reading(), delivery, 0)
    assert (delivery.operations, delivery.accepted, delivery.rejected) == (10, 6, [])
    assert delivery.ignored == {"other_collection": 4}
