"""The running daemon: its parts composed from the configuration, supervised, watched, and ended in order."""
