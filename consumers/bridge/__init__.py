"""The bridge: a source into the log, each event once however it is stopped, and nothing lost in silence."""
