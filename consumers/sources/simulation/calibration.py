"""The figures of the real network that the simulation is held to, each named once.

Measured on the network in 2024 to 2026: rates and the mix of creates from its public statistics, tail and delay
from samples of its stream. The tests measure them again on the lines that come out.
"""

EVENTS_PER_ACCOUNT = 345 / 3_100_000
"""Operations per second and account: 345 events/s at 3.1 million accounts active in a week."""

POST, REPLY, REPOST, LIKE, FOLLOW, OTHER, UPDATE, IDENTITY, DELETE, ACCOUNT = range(10)
"""Codes of what happens; the first six are creates."""

CREATE_MIX = {LIKE: 0.67, REPOST: 0.11, FOLLOW: 0.08, POST: 0.06, REPLY: 0.05, OTHER: 0.03}
UPDATE_SHARE = 0.012
IDENTITY_SHARE = 0.004
DELETED_SHARE = 0.045
"""Share of acts that are undone within `UNDO_CHUNKS` chunks."""
UNDO_CHUNKS = 64

QUOTES_AMONG_POSTS = 0.12
QUOTES_AMONG_REPLIES = 0.03

LIKES_TAIL = 2.15
"""Exponent of the density of likes per post: its complementary distribution falls with one less."""
AUTHOR_TAIL = 1.5
"""Exponent of the complementary distribution of popularity over accounts; lighter than the posts' own."""
GREATEST_WEIGHT = 100_000.0
"""No post draws more than this times the attention of the least one that is seen: some 50,000 likes."""
UNSEEN = 0.41
"""Share of posts that nobody is shown; with those that are shown and left alone, half get no engagement."""

DELAY_MEDIAN_S = 1_200.0
DELAY_SIGMA = 1.45
"""Lognormal delay between a post and an engagement, chosen so that the first like comes after 5.6 min in median."""
HORIZON_S = 6 * 3_600
"""How far back engagements reach into the simulated posts; what is older is an old post from before."""
OLD_SHARE = 0.03

ACTIVITY_EXPONENT = 0.75
"""Density of acts over the rank of accounts, most active first, falls as (rank/N + shift)^-exponent."""

NEWCOMER_SHARE = 0.0015
LEAVING_SHARE = 0.3

EVENTS_PER_CHUNK = 2_000
CHUNK_S = (2.0, 10.0)
"""A chunk is as long as `EVENTS_PER_CHUNK` take, within these bounds."""

SLOTS = 16
"""Moments of one chunk are split by residue: acts, undos, newcomers, departures, and one residue for each plant."""
SLOT_ACTS, SLOT_UNDOS, SLOT_NEWCOMERS, SLOT_DEPARTURES, SLOT_PLANTS = range(5)
MAX_PLANTS = SLOTS - SLOT_PLANTS
