"""Records as they stand in commits, in the forms that real clients write, common and odd."""

import numpy as np

from consumers.sources.simulation import calibration as cal
from consumers.sources.simulation.identifiers import Integers, cids, mix, unit
from consumers.sources.simulation.naming import RECORD_LEAD_US, REFERENCE, Naming
from consumers.sources.simulation.phrases import ELSEWHERE, ENGLISH_SHARE, ENGLISH_TAGS, SENTENCES, UNTAGGED_SHARE
from consumers.sources.simulation.rows import Rows

_CREATED, _EMBED, _VIA, _LANGUAGE, _SENTENCE, _OTHER = range(101, 107)

_FUTURE_SHARE, _OFFSET_SHARE, _UNDATED_SHARE = 0.004, 0.012, 0.015
"""Upper bounds on the scale of chance: hours in the future, an offset instead of Z, no `createdAt` at all."""
_FUTURE_US = 5 * 3_600_000_000

_VIA_SHARE = 0.3
_MEDIA_AMONG_QUOTES = 0.25

_IMAGES = (
    b'"embed":{"$type":"app.bsky.embed.images","images":[{"alt":"","image":{"$type":"blob",'
    b'"ref":{"$link":"bafkrei%b"},"mimeType":"image/jpeg","size":%d}}]},'
)
_EXTERNAL = (
    b'"embed":{"$type":"app.bsky.embed.external","external":{"description":"","title":"Notes",'
    b'"uri":"https://example.com/%b/%d"}},'
)
_FEED = (
    b'"embed":{"$type":"app.bsky.embed.record","record":{"cid":"bafyrei%b",'
    b'"uri":"at://did:plc:z72i7hdynmk6r22z27h6tvur/app.bsky.feed.generator/feed%d"}},'
)
_STARTER_PACK = (
    b'"embed":{"$type":"app.bsky.embed.record","record":{"cid":"bafyrei%b",'
    b'"uri":"at://did:plc:z72i7hdynmk6r22z27h6tvur/app.bsky.graph.starterpack/3l%d"}},'
)
_EMBEDS = ((0.22, _IMAGES), (0.34, _EXTERNAL), (0.345, _FEED), (0.35, _STARTER_PACK))
"""Embeds that are no quotes, by upper bound on the scale of chance."""
_QUOTE = b'"embed":{"$type":"app.bsky.embed.record","record":' + REFERENCE + b"},"
_QUOTE_WITH_MEDIA = (
    b'"embed":{"$type":"app.bsky.embed.recordWithMedia","media":{"$type":"app.bsky.embed.external","external":'
    b'{"description":"","title":"Notes","uri":"https://example.com/notes"}},'
    b'"record":{"$type":"app.bsky.embed.record","record":' + REFERENCE + b"}},"
)
_REPLY = b'"reply":{"parent":' + REFERENCE + b',"root":' + REFERENCE + b"},"
_POST = b'{"$type":"app.bsky.feed.post",%b%b%b%b"text":"%b"}'
_SUBJECT = b'{"$type":"%b",%b"subject":' + REFERENCE + b"%b}"
_VIA_REPOST = b',"via":{"cid":"bafyrei%b","uri":"at://did:plc:%b/app.bsky.feed.repost/%b"}'
_FOLLOW = b'{"$type":"app.bsky.graph.follow",%b"subject":"did:plc:%b"}'

_TYPES = {cal.LIKE: b"app.bsky.feed.like", cal.REPOST: b"app.bsky.feed.repost"}


def times(moments: Integers) -> list[bytes]:
    """Return `2026-07-04T14:38:08.999` for each moment, µs since 1970."""
    written = np.datetime_as_string(moments.astype("datetime64[us]"), unit="ms")
    strings: list[bytes] = written.astype("S23").tolist()
    return strings


def _created(moments: Integers) -> list[bytes]:
    """Return the `createdAt` member of each record with its comma, or nothing where the client wrote none."""
    chance = unit(moments, _CREATED)
    ahead = np.where(chance < _FUTURE_SHARE, _FUTURE_US, 0)
    members = [b'"createdAt":"%bZ",' % time for time in times(moments - RECORD_LEAD_US + ahead)]
    for place in np.flatnonzero((chance >= _FUTURE_SHARE) & (chance < _UNDATED_SHARE)).tolist():
        members[place] = members[place].replace(b"Z", b"+00:00") if chance[place] < _OFFSET_SHARE else b""
    return members


def subject_records(rows: Rows, naming: Naming) -> list[bytes]:
    """Return the records of likes and reposts, some of them made from a repost seen (`via`)."""
    members = zip(rows.kind.tolist(), _created(rows.moment), strict=True)
    subjects = naming.references(rows.target, rows.target_moment)
    via = [b""] * len(rows)
    seen = np.flatnonzero(unit(rows.moment, _VIA) < _VIA_SHARE)
    reposters = (mix(rows.moment[seen], _VIA) >> np.uint64(44)).astype(np.int64)
    for place, reference in zip(seen.tolist(), naming.references(reposters, rows.moment[seen]), strict=True):
        via[place] = _VIA_REPOST % reference
    return [
        _SUBJECT % (_TYPES[kind], created, *subject, source)
        for (kind, created), subject, source in zip(members, subjects, via, strict=True)
    ]


def follow_records(rows: Rows, naming: Naming) -> list[bytes]:
    """Return the records of follows."""
    return list(map(_FOLLOW.__mod__, zip(_created(rows.moment), naming.dids(rows.target), strict=True)))


def _words(rows: Rows) -> list[tuple[bytes, bytes]]:
    """Return the `langs` member and the text of each post."""
    chance, choice = unit(rows.moment, _LANGUAGE), (mix(rows.moment, _SENTENCE) >> np.uint64(33)).tolist()
    told = []
    for mood, share, number in zip(rows.mood.tolist(), chance.tolist(), choice, strict=True):
        if mood or share < ENGLISH_SHARE:
            tags, sentences = ENGLISH_TAGS[number % len(ENGLISH_TAGS)], SENTENCES[mood + 4]
        else:
            tags, sentences = ELSEWHERE[number % len(ELSEWHERE)]
        untagged = not mood and share > 1.0 - UNTAGGED_SHARE
        told.append((b"" if untagged else b'"langs":[%b],' % tags, sentences[number // 32 % len(sentences)]))
    return told


def _embeds(rows: Rows, naming: Naming) -> list[bytes]:
    """Return the `embed` member of each post: a quote where it quotes, else now and then something else."""
    members = [b""] * len(rows)
    chance = unit(rows.moment, _EMBED)
    quoting = np.flatnonzero(rows.quoted >= 0)
    references = naming.references(rows.quoted[quoting], rows.quoted_moment[quoting])
    for place, reference in zip(quoting.tolist(), references, strict=True):
        template = _QUOTE_WITH_MEDIA if chance[place] < _MEDIA_AMONG_QUOTES else _QUOTE
        members[place] = template % reference
    embedding = np.flatnonzero((rows.quoted < 0) & (chance < _EMBEDS[-1][0]))
    numbers = (rows.moment[embedding] // cal.SLOTS % 1_000_000).tolist()
    for place, cid, number in zip(embedding.tolist(), cids(rows.moment[embedding]), numbers, strict=True):
        template = next(template for bound, template in _EMBEDS if chance[place] < bound)
        members[place] = template % (cid, number)
    return members


def post_records(rows: Rows, naming: Naming) -> list[bytes]:
    """Return the records of posts, replies and quotes."""
    replies = [b""] * len(rows)
    replying = np.flatnonzero(rows.kind == cal.REPLY)
    parents = naming.references(rows.target[replying], rows.target_moment[replying])
    roots = naming.references(rows.root[replying], rows.root_moment[replying])
    for place, parent, root in zip(replying.tolist(), parents, roots, strict=True):
        replies[place] = _REPLY % (*parent, *root)
    members = zip(_created(rows.moment), _embeds(rows, naming), _words(rows), replies, strict=True)
    return [_POST % (created, embed, langs, reply, text) for created, embed, (langs, text), reply in members]


_OTHERS = (
    (b"app.bsky.graph.block", b'{"$type":"app.bsky.graph.block","createdAt":"%bZ","subject":"did:plc:%b"}'),
    (b"app.bsky.feed.threadgate", b'{"$type":"app.bsky.feed.threadgate","createdAt":"%bZ","post":"at://did:plc:%b"}'),
    (b"fm.example.play", b'{"$type":"fm.example.play","playedTime":"%bZ","artist":"%b"}'),
)
_PROFILE = b'{"$type":"app.bsky.actor.profile","createdAt":"%bZ","displayName":"%b"}'


def other_records(rows: Rows, naming: Naming) -> list[tuple[bytes, bytes]]:
    """Return collection and record of creates and updates that concern no window."""
    choice = (mix(rows.moment, _OTHER) % np.uint64(len(_OTHERS))).tolist()
    members = zip(rows.kind.tolist(), choice, times(rows.moment), naming.dids(rows.actor), strict=True)
    return [
        (b"app.bsky.actor.profile", _PROFILE % (time, did))
        if kind == cal.UPDATE
        else (_OTHERS[number][0], _OTHERS[number][1] % (time, did))
        for kind, number, time, did in members
    ]
