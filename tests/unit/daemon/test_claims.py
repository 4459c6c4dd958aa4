"""One daemon per role in a state directory."""

from pathlib import Path

import pytest

from daemon.errors import RefusalError
from daemon.service.claims import claim


def test_a_role_is_held_once_and_free_again_afterwards(tmp_path: Path) -> None:
    place = tmp_path / "new" / "state"
    with claim(place, ["bridge", "attribute"]):
        said = r"^another starlingd has the attribute role in .*/state; stop it, or"
        with pytest.raises(RefusalError, match=said), claim(place, ["attribute"]):
            pass
        with claim(tmp_path, ["attribute"]):
            pass
    with claim(place, ["attribute"]):
        pass


def test_what_goes_wrong_while_it_is_held_is_not_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), claim(tmp_path, ["attribute"]):
        raise BlockingIOError


def test_two_roles_share_a_directory(tmp_path: Path) -> None:
    with claim(tmp_path, ["bridge"]), claim(tmp_path, ["attribute"]):
        pass


def test_a_refused_claim_holds_nothing(tmp_path: Path) -> None:
    with claim(tmp_path, ["attribute"]):
        with pytest.raises(RefusalError), claim(tmp_path, ["bridge", "attribute"]):
            pass
        with claim(tmp_path, ["bridge"]):
            pass


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = r"file/state cannot be used \(Not a directory\); give another with --state-dir$"
    with pytest.raises(RefusalError, match=said), claim(tmp_path / "file" / "state", ["bridge"]):
        pass
