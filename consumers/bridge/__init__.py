"""The bridge: a source into the log, each event once however it is stopped, and nothing lost in silence.

`bridge` carries what `intake` reads. `place` is where it goes on from after a stop, in the file of `cursors`;
`readback` says what the log holds beyond that, `identity` tells what repeats, `tenure` whose turn it is.
`deadletters` keeps what cannot be read, `rereading` and `retrying` try it again.
"""
