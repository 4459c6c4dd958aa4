"""What simulated accounts write: short sentences from a small vocabulary, in nine moods from -4 to 4.

The verdicts were chosen so that VADER's compound rises with the mood and spans [-1, 1]. Every string is plain
JSON text: no quotes, no backslashes.
"""

MOODS = range(-4, 5)

_TOPICS = (
    "this train line",
    "the new bakery",
    "my neighbour's garden",
    "that football match",
    "the weather today",
    "this documentary",
    "our local library",
    "the city council",
    "her latest album",
    "the bus timetable",
    "his sourdough",
    "that science podcast",
    "the office printer",
    "this board game",
    "the river walk",
    "tonight's concert",
)

_VERDICTS = {
    -4: (
        "was horrible, disgusting and evil, I hate this awful disaster",
        "is a hateful lie, cruel, vile, a total fraud",
    ),
    -3: ("was terrible and I hate it", "is awful, a complete failure"),
    -2: ("was bad and rather annoying", "is a disappointment, sadly"),
    -1: ("was a little boring", "is somewhat dull"),
    0: ("was on at nine", "is near the station", "has two doors", "was there again"),
    1: ("was fine", "is okay, I suppose"),
    2: ("was good and rather pleasant", "is nice, I like it"),
    3: ("was great and I love it", "is wonderful, truly excellent"),
    4: ("was amazing, brilliant and beautiful, I love this happy triumph", "is the best, superb, a joy, I adore it"),
}

SENTENCES: tuple[tuple[bytes, ...], ...] = tuple(
    tuple(f"{topic[0].upper()}{topic[1:]} {verdict}".encode() for topic in _TOPICS for verdict in _VERDICTS[mood])
    for mood in MOODS
)
"""English sentences by mood: `SENTENCES[mood + 4]`."""

ELSEWHERE: tuple[tuple[bytes, tuple[bytes, ...]], ...] = (
    (b'"ja"', ("今日は駅まで歩いた".encode(), "新しい本を読んでいる".encode())),
    (b'"pt"', ("O mercado abre às oito".encode(), "Hoje fui à biblioteca".encode())),
    (b'"de"', (b"Der Zug kommt um neun", "Heute gibt es frische Brötchen".encode())),
    (b'"es"', (b"El tren llega a las nueve", "Hoy leí en la biblioteca".encode())),
    (b'"fr"', ("La boulangerie ouvre à huit heures".encode(), "Le marché est près de la gare".encode())),
    (b'"ko"', ("오늘은 도서관에 갔다".encode(), "기차는 아홉 시에 온다".encode())),
)
"""Language tags, as they stand in JSON, with sentences of that language."""

ENGLISH_SHARE = 0.5
ENGLISH_TAGS: tuple[bytes, ...] = (b'"en"',) * 17 + (b'"en-US"', b'"en-GB"', b'"en","ja"')
UNTAGGED_SHARE = 0.06
"""Share of posts whose record has no `langs` at all."""
