import pytest

from daemon.runs.sentences import panel_sentence, percent


def test_the_sentence_sets_the_panel_beside_full_scale() -> None:
    panel, full = {"head": 0.97, "middle": 0.03}, {"head": 0.312, "middle": 0.238, "tail": 0.45}
    assert panel_sentence("polarization", 100, panel, full) == (
        "A panel of the 100 most visible accounts would give the head 97 % of polarization; "
        "at full scale it carries 31 %, the middle 24 % and the tail 45 %."
    )


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.0, "0 %"),
        (1e-17, "0 %"),
        (0.004, "under 1 %"),
        (0.312, "31 %"),
        (0.996, "over 99 %"),
        (1.0, "100 %"),
        (1 + 1e-12, "100 %"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_all(share: float, said: str) -> None:
    assert percent(share) == said
