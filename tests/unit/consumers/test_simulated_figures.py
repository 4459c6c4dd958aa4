"""The simulation is held to the figures of the real network, measured on what it says."""

import numpy as np
import pytest

from consumers.scoring import Vader
from consumers.sources.simulation import calibration as cal
from consumers.sources.simulation.network import Network, Shape
from consumers.sources.simulation.phrases import MOODS, SENTENCES
from consumers.sources.simulation.rows import Rows
from consumers.sources.simulator import START, SimulatedSource

RATE = 60.0
ACCOUNTS = 200_000
HOURS = 6


def gather(rate: float, hours: float) -> Rows:
    end = START + int(hours * 3.6e9)
    parts = []
    for rows in Network(Shape(ACCOUNTS, 3, START, rate)).rows(None):
        parts.append(rows)
        if rows.moment[-1] >= end:
            break
    merged = Rows.merged(parts)
    return merged.take(merged.moment < end)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return gather(RATE, HOURS)


@pytest.fixture(scope="module")
def watched(rows) -> np.ndarray:
    """Moments of the posts and replies of the first quarter, whose engagement can be watched for hours."""
    written = (rows.kind == cal.POST) | (rows.kind == cal.REPLY)
    return rows.moment[written & (rows.moment < START + HOURS * 0.25 * 3.6e9)]


def met(watched: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return for each target the place of the post among the watched, -1 where it is none of them."""
    place = np.minimum(np.searchsorted(watched, targets), len(watched) - 1)
    return np.where(watched[place] == targets, place, -1)


def counted(watched: np.ndarray, targets: np.ndarray) -> np.ndarray:
    place = met(watched, targets)
    return np.bincount(place[place >= 0], minlength=len(watched))


def test_the_rate_is_the_one_asked_for(rows):
    background = (rows.kind != cal.DELETE) & (rows.kind != cal.ACCOUNT) & (rows.actor < ACCOUNTS)
    assert background.sum() == pytest.approx(RATE * HOURS * 3_600, rel=0.01)


@pytest.mark.parametrize("kind", list(cal.CREATE_MIX))
def test_creates_have_the_real_mix(rows, kind):
    creates = np.isin(rows.kind, list(cal.CREATE_MIX))
    assert (rows.kind[creates] == kind).mean() == pytest.approx(cal.CREATE_MIX[kind], abs=0.006)


def test_likes_per_post_have_the_real_tail(rows, watched):
    likes = counted(watched, rows.target_moment[rows.kind == cal.LIKE])
    least = 10
    tail = likes[likes >= least]
    exponent = 1 + len(tail) / np.log(tail / (least - 0.5)).sum()
    assert exponent == pytest.approx(2.15, abs=0.15)


def test_half_of_the_posts_get_no_engagement(rows, watched):
    engaged = counted(watched, rows.target_moment[np.isin(rows.kind, (cal.LIKE, cal.REPOST, cal.REPLY))])
    engaged += counted(watched, rows.quoted_moment[rows.quoted >= 0])
    assert (engaged == 0).mean() == pytest.approx(0.5, abs=0.05)


def test_the_first_like_comes_after_the_real_median(rows, watched):
    likes = rows.kind == cal.LIKE
    place = met(watched, rows.target_moment[likes])
    first = np.full(len(watched), np.iinfo(np.int64).max)
    np.minimum.at(first, place[place >= 0], rows.moment[likes][place >= 0])
    liked = first < np.iinfo(np.int64).max
    assert np.median(first[liked] - watched[liked]) / 60e6 == pytest.approx(5.6, rel=0.2)


def test_activity_is_heavy_tailed_and_nobody_does_it_all(rows):
    acts = np.sort(np.bincount(rows.actor[rows.actor < ACCOUNTS], minlength=ACCOUNTS))[::-1]
    assert acts[: ACCOUNTS // 100].sum() / acts.sum() > 0.2
    assert acts[: ACCOUNTS // 10].sum() / acts.sum() > 0.5
    assert acts[0] / acts.sum() < 0.01


def test_attention_is_more_concentrated_than_activity_and_falls_on_others(rows):
    likes = rows.kind == cal.LIKE
    ours = rows.target[likes][rows.target[likes] < ACCOUNTS]
    received = np.bincount(ours, minlength=ACCOUNTS)
    acts = np.bincount(rows.actor[rows.actor < ACCOUNTS], minlength=ACCOUNTS)
    head = np.argsort(received)[::-1][: ACCOUNTS // 100]
    assert received[head].sum() / received.sum() > 0.5
    assert acts[head].sum() / acts.sum() < 0.25


@pytest.mark.parametrize(("hour", "swing"), [(0, 1.5), (12, 0.5)])
def test_a_daily_rhythm_swings_around_the_mean(hour, swing):
    begin, chunks = START + hour * 3_600_000_000, 60
    stream = Network(Shape(ACCOUNTS, 3, START, RATE, rhythm=0.5)).rows(begin)
    parts = [next(stream) for _ in range(chunks)]
    background = sum(int((rows.kind != cal.DELETE).sum()) for rows in parts)
    seconds = (parts[-1].moment[-1] - begin) / 1e6
    assert background / seconds == pytest.approx(swing * RATE, rel=0.05)


def test_the_default_rate_is_the_networks_at_its_size():
    source = SimulatedSource(accounts=3_100_000, duration=60.0)
    lines = sum(len(chunk.lines) for chunk in source.chunks())
    assert lines / 60 == pytest.approx(345, rel=0.1)


def test_moods_span_what_the_scorer_can_say_and_rise():
    score = Vader()
    scored = [[score(text.decode(), ["en"]) for text in sentences] for sentences in SENTENCES]
    means = [np.mean(scores) for scores in scored]
    assert means == sorted(means)
    assert len(MOODS) == len(SENTENCES) == 9
    assert max(scored[0]) <= -0.9
    assert min(scored[-1]) >= 0.9
    assert max(np.abs(scored[4])) == 0.0
    assert max(scored[1]) <= -0.5 < min(scored[3])
