"""An agent's number is its name's: whoever else is there, and whatever the name is made of."""

import numpy as np

from daemon.runs.identity import identities
from tests.populations import names


def test_no_two_of_many_are_alike() -> None:
    assert len(np.unique(identities(names(200_000)))) == 200_000


def test_a_number_depends_on_the_name_alone() -> None:
    agents = ["did:plc:abc", "агент", "did:web:" + "long." * 40 + "example", "a"]
    together = identities(agents)
    assert together.tolist() == [int(identities([agent])[0]) for agent in agents]
    assert len(set(together.tolist())) == 4
    assert identities([]).tolist() == []
