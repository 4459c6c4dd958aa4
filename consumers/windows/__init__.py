"""Rolling windows over the agent events of a log: integers only, so that a replay gives the same bits.

`shape` says what the windows are, `delta` holds the counts of one bucket, `state` the sums of one partition, `fold`
turns log records into counts, `watermark` says when a window is complete, `snapshot` copies it out, `group` does all
of it for the partitions that a worker holds.
"""
