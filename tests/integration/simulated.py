"""Settings of a daemon that reads a small simulated network as fast as it goes, and attributes one indicator of it."""

SIMULATED = (
    "source.kind=simulator",
    "source.simulator.accounts=500",
    "source.simulator.rate=100",
    "source.simulator.speed=0",
    "source.simulator.duration=30s",
    "windows.length=12s",
    "windows.bucket=1s",
    "engine.indicators=activity",
    "log.partitions=2",
    "http.port=0",
)
