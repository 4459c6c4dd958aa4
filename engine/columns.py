"""The integer columns of an agent's state, named once.

Every table of agents, in the windows, in Parquet files and on the device, has these columns in this order
and nothing else. Free of torch, so that a reader of the stream need not load it.
"""

ACTS = ("posts", "replies", "quotes", "reposts", "likes", "follows")
RECEIVED = ("replies_in", "quotes_in", "reposts_in", "likes_in", "follows_in")
COUNTS = ACTS + RECEIVED
AFFECT = ("scored", "valence", "alarm")
PHASES = tuple(f"phase_{index:02d}" for index in range(12))
COLUMNS = COUNTS + AFFECT + PHASES
INDEX = {name: position for position, name in enumerate(COLUMNS)}

VALENCE_SCALE = 10_000
"""`valence` sums round(valence * VALENCE_SCALE): integers add and expire exactly."""

ALARM_VALENCE = -0.5
"""A post counts in `alarm` when its valence is at or below this."""
