from importlib.metadata import EntryPoint

import pytest

from consumers import scoring
from consumers.scoring import Guarded, ScorerError, Vader, load_scorer


def test_vader_scores_english_by_its_compound():
    score = load_scorer()
    assert score("I love this, it is wonderful!", ["en"]) > 0.6
    assert score("This is a horrible, disgusting lie.", ["ja", "en-GB"]) < -0.5
    assert score("The table has four legs.", ["en"]) == 0.0


@pytest.mark.parametrize("langs", [[], ["ja"], ["eng"], ["EN"], ["fr", "pt-BR"]])
def test_vader_leaves_other_languages_unscored(langs):
    assert load_scorer("vader")("I love this", langs) is None


def test_vader_reads_its_lexicon_when_the_first_english_post_comes():
    vader = Vader()
    vader("bonjour", ["fr"])
    assert vader._polarity is None
    vader("hello", ["en"])
    first = vader._polarity
    vader("hello again", ["en"])
    assert vader._polarity == first


def test_none_scores_nothing():
    assert load_scorer("none")("I love this", ["en"]) is None


@pytest.mark.parametrize("answer", [1.5, -2, float("nan"), float("inf"), "much"])
def test_an_answer_outside_the_range_is_no_score_and_is_counted(answer):
    score = Guarded(lambda _text, _langs: answer)
    assert score("text", ["en"]) is None
    assert score.failures == 1


def test_a_scorer_that_raises_is_no_score_and_is_counted():
    def broken(_text, _langs):
        raise RuntimeError

    score = Guarded(broken)
    assert [score("a", []), score("b", [])] == [None, None]
    assert score.failures == 2


def test_an_unknown_scorer_is_one_clear_sentence_naming_those_there_are():
    with pytest.raises(ScorerError, match="none, vader"):
        load_scorer("novelty")


def no_letter_e():
    return lambda text, _langs: 0.0 if "e" in text else 1.0


def broken_builder():
    raise RuntimeError("no model here")


def test_a_scorer_of_another_package_is_found_by_its_entry_point(monkeypatch):
    monkeypatch.setattr(
        scoring,
        "entry_points",
        lambda group: [EntryPoint("letters", f"{__name__}:no_letter_e", group), EntryPoint("bad", "absent:it", group)],
    )
    monkeypatch.setattr(EntryPoint, "load", lambda self: {"letters": no_letter_e, "bad": broken_builder}[self.name])
    assert load_scorer("letters")("a dog", []) == 1.0
    with pytest.raises(ScorerError, match="'bad' could not be loaded"):
        load_scorer("bad")
