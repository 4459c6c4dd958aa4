"""The worker: the log into windows, closed in order, checkpointed between two closes."""
