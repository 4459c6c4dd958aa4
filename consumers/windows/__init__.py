"""Rolling windows over the agent events of a log: integers only, so that a replay gives the same bits.

`shape` says what the windows are, `delta` holds the counts of one bucket, `slots` says which rows of them are whose
and `names` packs their names, `state` holds the sums of one partition. `meaning` says what one log record means to
them, `fold` reads the records in order and drops what repeats, `entries` turns what is left into counts. `idleness`
says which partitions are silent, `snapshot` copies windows out, `group` does all of it for the partitions that a
worker holds.
"""
