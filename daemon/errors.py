"""Refusals of the commands: what the caller of a command can mend, said in one sentence. Free of heavy imports."""


class TableError(Exception):
    """A table of agents that cannot be read or written. The message names the file, the row or column and the cause."""
