"""The daemon's own errors that a caller can mend. Each message is one sentence: what was wrong, where, what to do."""


class RefusalError(Exception):
    """The daemon will not do as asked; the family of the errors below."""


class ConfigError(RefusalError):
    """A configuration with an unknown name or a value that cannot be."""


class ListenError(RefusalError):
    """An address that the HTTP surface cannot listen on."""


class TableError(RefusalError):
    """A table of agents that cannot be read as one, or that cannot be written."""


class OutputError(RefusalError):
    """A file that cannot be written."""
