"""Everything that reads a stream: sources, the bridge into the log, the log itself, windows, checkpoints."""
