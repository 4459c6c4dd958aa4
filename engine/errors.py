"""The family of errors that the engine raises, each message one sentence: what was wrong, where, what to do."""


class EngineError(Exception):
    """Something the engine cannot answer for."""


class StateError(EngineError):
    """A table of agents that is not one: a wrong shape or type, a negative count, a value that is not an integer."""


class IndicatorError(EngineError):
    """An indicator that cannot be evaluated: unknown, of a wrong shape, raising, or not finite."""
