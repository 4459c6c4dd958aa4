"""How many followers each account has: asked of an AppView in the background, kept on disk, known now or not.

`keeper` decides who is asked and when, `appview` asks, `cache` keeps the answers.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

MOST = 25
"""Accounts in one request, the most that the lexicon allows."""

Cause = Literal["rate_limited", "refused", "unauthorized", "timeout", "network", "server_error", "unreadable"]


class FollowersError(Exception):
    """The cache of followers cannot be used; the message is one sentence that says what to do."""


class AskError(Exception):
    """A request that gave no answer. `pause`: seconds for which the server asks to be left alone, 0 for none said."""

    def __init__(self, cause: Cause, pause: float = 0.0) -> None:
        super().__init__(cause)
        self.cause: Cause = cause
        self.pause = pause


@dataclass(slots=True, frozen=True)
class Reply:
    """Followers by account; one that was asked for and is missing is not known to the server. `pause`: as above."""

    followers: dict[str, int]
    pause: float = 0.0


Ask = Callable[[Sequence[str]], Awaitable[Reply]]
"""Asks for at most `MOST` accounts by their DIDs; raises AskError."""
