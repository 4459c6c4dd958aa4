"""Ranks share a run: who gets a record, who a tombstone, and what is carried are what they are for one rank."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.peers import Peers
from daemon.config.loading import load
from daemon.config.model import Config
from daemon.errors import ConfigError
from daemon.runs.attributions import Attributions, Leaders
from daemon.runs.carried import Carried
from daemon.runs.publisher import Policy, Publisher
from daemon.runs.recall import Published
from daemon.service.composition import Service
from daemon.service.share import Share, share_of
from engine.panic import PanicMemory
from tests.peers import at_once, together

LAUNCHED = {"TORCHELASTIC_RUN_ID": "x", "RANK": "4", "WORLD_SIZE": "5", "LOCAL_RANK": "1"}
VALUES = st.lists(st.integers(-4, 4).map(float), max_size=25)


def table(names: list[str], **phi: list[float]) -> Attributions:
    columns = {(name, "neutral"): np.array(values, np.float64) for name, values in phi.items()}
    return Attributions(names, columns, np.zeros(len(names), np.uint8), np.arange(len(names)))


def split(whole: Attributions, size: int) -> list[Attributions]:
    """Each rank's own, as the partitions may fall."""
    rows = [[row for row in range(len(whole.agents)) if row * 7 % size == rank] for rank in range(size)]
    return [
        table([whole.agents[row] for row in own], **{name: phi[own].tolist() for (name, _), phi in whole.phi.items()})
        for own in rows
    ]


@settings(max_examples=40, deadline=None)
@given(VALUES, st.integers(1, 3), st.sampled_from(("all", "top:1", "top:4", "mass:0.3", "mass:0.9", "mass:1.0")))
def test_who_gets_a_record_is_chosen_among_all_ranks_agents(phi: list[float], size: int, text: str) -> None:
    policy = Policy.parse(text)
    whole = table([f"a{row:03d}" for row in range(len(phi))], attention=phi, cascade=phi[::-1])
    parts = split(whole, size)
    rows = together(size, lambda peers: policy.rows(parts[peers.rank], peers).tolist())
    found = sorted(part.agents[row] for part, own in zip(parts, rows, strict=True) for row in own)
    assert found == [whole.agents[row] for row in policy.rows(whole).tolist()]


@given(VALUES, st.integers(1, 4))
def test_the_leaders_of_all_ranks_are_those_of_one(phi: list[float], size: int) -> None:
    whole = table([f"a{row:03d}" for row in range(len(phi))], attention=phi)
    key = ("attention", "neutral")
    joined = Leaders.of_all([part.leaders[key] for part in split(whole, size)])
    told = [[row[:2] for row in leaders.rows] for leaders in (joined, whole.leaders[key])]
    assert told[0] == told[1]
    assert joined.mass == pytest.approx(whole.leaders[key].mass)


def test_nobody_is_buried_whom_another_rank_publishes() -> None:
    class Kept:
        def __init__(self) -> None:
            self.buried: list[str] = []

        async def append(self, _topic: str, entries: list) -> None:
            self.buried += [entry.key.decode() for entry in entries if entry.value is None]

    before = [["moved", "stays", "went"], ["came", "left"]]
    now = [["came", "stays"], ["moved", "new"]]

    async def publish(peers: Peers) -> list[str]:
        log = Kept()
        with ThreadPoolExecutor(1) as pool:
            publisher = Publisher(log, "t", Policy(), pool, peers=peers)  # type: ignore[arg-type]
            names = before[peers.rank]
            publisher.published = Published(names, np.zeros(len(names), np.int64))
            own = now[peers.rank]
            done = await publisher.publish(table(own, attention=[1.0] * len(own)), "r", "all", ())
        assert done.tombstones == len(log.buried)
        return log.buried

    assert at_once(2, publish) == [["went"], ["left"]]


def test_what_two_ranks_carried_three_carry_on() -> None:
    def carried(partitions: list[int]) -> Carried:
        homes = np.repeat(np.array(partitions, np.int64), 3)
        agents = [f"did:é{home}-{place}" for place, home in enumerate(homes.tolist())]
        memory = PanicMemory(0.5, torch.arange(len(agents), dtype=torch.float64) / 7, 0.25, left=partitions[0] + 0.125)
        return Carried(Published(agents[1:], homes[1:]), agents, homes, {"panic": memory})

    two = [carried([0, 2, 4]), carried([1, 3])]
    saved = {**two[0].dump([0, 2, 4]), **two[1].dump([1, 3])}
    three = [Carried.load({part: saved[part] for part in own}) for own in ([0, 3], [1, 4], [2])]

    def everything(ranks: list[Carried]) -> list[object]:
        phi = {name: float(x) for one in ranks for name, x in zip(one.agents, one.memory["panic"].phi, strict=True)}
        published = {
            name: home
            for one in ranks
            for name, home in zip(one.published.names, one.published.partitions.tolist(), strict=True)
        }
        return [phi, published, sum(one.memory["panic"].left for one in ranks)]

    assert everything(three) == everything(two)
    assert {(one.memory["panic"].volatility, one.memory["panic"].departed) for one in three} == {(0.5, 0.25)}


def config(*settings: str) -> Config:
    return load(None, {}, [("--set", *one.split("=", 1)) for one in settings]).config


def test_each_partition_is_one_ranks_and_ranks_of_a_machine_listen_side_by_side() -> None:
    assert share_of({"RANK": "1", "WORLD_SIZE": "2"}) == Share()
    share = share_of(LAUNCHED)
    assert share == Share(4, 5, 1, launched=True)
    parts = [part for rank in range(5) for part in Share(rank, 5).of(13)]
    assert sorted(parts) == list(range(13))
    assert Service(config("http.port=9000"), share=share)._http().port == 9001
    assert Service(config("http.port=0"), share=share)._http().port == 0


@pytest.mark.parametrize(
    ("role", "settings", "said"),
    [
        ("all", (), "ranks share the attributing"),
        ("attribute", ("log.partitions=4",), "5 ranks cannot share 4 partitions"),
        ("attribute", ("followers.enabled=true",), "followers.enabled: ranks do not know each other's"),
    ],
)
def test_what_ranks_cannot_share_is_one_sentence(role: str, settings: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        share_of(LAUNCHED).check(config(*settings), role)  # type: ignore[arg-type]
    Share().check(config(*settings), role)  # type: ignore[arg-type]
