"""Reading a source in tests: what it delivers, added up into one delivery, every operation accounted for."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from consumers.sources import Delivery, Source

PATIENCE = 60.0


def add(whole: Delivery, delivery: Delivery) -> None:
    """Add a delivery to those before it, and hold it to what every delivery promises."""
    assert delivery.operations == delivery.accepted + delivery.ignored.total() + len(delivery.rejected)
    assert delivery.accepted <= len(delivery.events) <= 3 * delivery.accepted
    whole.cursor = delivery.cursor
    whole.frames += delivery.frames
    whole.operations += delivery.operations
    whole.accepted += delivery.accepted
    whole.events += delivery.events
    whole.ignored += delivery.ignored
    whole.rejected += delivery.rejected
    whole.gaps += delivery.gaps


async def until(source: Source, enough: Callable[[Delivery], bool], cursor: int | None = None) -> Delivery:
    """Read from a cursor until what came so far is enough."""
    whole = Delivery()
    async with asyncio.timeout(PATIENCE), aclosing(source.deliveries(cursor)) as deliveries:  # type: ignore[type-var]
        async for delivery in deliveries:
            add(whole, delivery)
            if enough(whole):
                return whole
    raise AssertionError("the source ended")
