"""The worker: the log into windows, closed in order, checkpointed between two closes.

`worker` is the loop, `backlog` what it has read and not folded, `agreement` what its ranks conclude. `keeping` says
when a checkpoint is taken up and saved, `saving` what one moment consists of, `checkpoints` makes it whole or nothing,
in the bytes of `form`, at one of `places`.
"""
