"""The configuration: which origin wins, and what is said of one that cannot be."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from consumers.durations import format_duration
from daemon.commands import cli
from daemon.config.attributing import PHASES
from daemon.config.loading import load, parse_assignment, read_environment
from daemon.config.model import Config
from daemon.config.rendering import render
from daemon.config.values import HOUR, MINUTE
from daemon.errors import ConfigError


def toml(directory: Path, text: str) -> Path:
    path = directory / "starlingd.toml"
    path.write_text(text, "utf-8")
    return path


def refusal(tmp_path: Path, text: str = "", environ: dict[str, str] | None = None, *assignments: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load(toml(tmp_path, text), environ, [parse_assignment(one) for one in assignments])
    return str(refused.value).replace(f"{tmp_path}/", "")


def test_the_file_yields_to_the_environment_and_that_to_the_flags(tmp_path: Path) -> None:
    file = toml(tmp_path, 'scorer = "none"\n[http]\nhost = "::1"\nport = 1\n[windows]\nlength = "2h"\n')
    loaded = load(file, {"STARLINGD_HTTP__PORT": "2", "STARLINGD_SCORER": "vader"}, [("--port", "http.port", "3")])
    assert loaded.config.http.port == 3
    assert loaded.config.scorer == "vader"
    assert loaded.config.http.host == "::1"
    assert loaded.config.windows.length == 2 * HOUR
    assert loaded.origins["http", "port"] == "--port"
    assert loaded.origins["scorer",] == "STARLINGD_SCORER"
    assert loaded.origins["windows", "length"] == f"{file}: windows.length"


def test_a_variable_names_the_file_and_the_flag_overrides_it(tmp_path: Path) -> None:
    file = toml(tmp_path, "[http]\nport = 9\n")
    assert load(None, {"STARLINGD_CONFIG": str(file)}).config.http.port == 9
    absent = {"STARLINGD_CONFIG": str(tmp_path / "absent.toml")}
    assert load(file, absent).config.http.port == 9
    with pytest.raises(ConfigError, match=r"absent\.toml cannot be read: no such file or directory$"):
        load(None, absent)


def test_lists_are_written_with_commas_outside_of_the_file() -> None:
    environ = {"STARLINGD_ENGINE__INDICATORS": "activity, panic", "STARLINGD_ENGINE__TIERS": "0.05,0.5"}
    engine = load(None, environ).config.engine
    assert engine.indicators == ["activity", "panic"]
    assert engine.tiers == (0.05, 0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[windows]\nlenght = '1h'", "windows.lenght: there is no setting 'lenght' in [windows] (did you mean length?"),
        ("[windos]\nlength = '1h'", "starlingd.toml: windos.length: there is no setting 'windos' at the top level"),
        ("windows = '1h'", "starlingd.toml: windows: is a section; name one of its keys: length"),
        ("[windows]\nlength = '1 hour'", "starlingd.toml: windows.length: '1 hour' is not a duration"),
        ("[windows]\nlength = 3600", "starlingd.toml: windows.length: should be a duration such as 90s or 1h30m"),
        ("[windows]\nbucket = '0s'", "starlingd.toml: windows.bucket: should be at least 1us, not 0s"),
        ("[log]\nkind = 'redis'", "starlingd.toml: log.kind: should be 'sqlite' or 'kafka', not 'redis'"),
        ("[log]\npartitions = 0", "starlingd.toml: log.partitions: should be greater than or equal to 1, not 0"),
        ("[log.sasl]\nmechanism = 'PLAIN'", "starlingd.toml: log.sasl.mechanism and the default of log.sasl.username"),
        ("[source]\nkind = 'recording'", "starlingd.toml: source.kind and the default of source.paths: a recording"),
        ("[publish]\npolicy = 'top:0'", "starlingd.toml: publish.policy: 'top:0' is no publishing policy; use all"),
        ("[publish]\npolicy = 'mass:nan'", "starlingd.toml: publish.policy: 'mass:nan' is no publishing policy"),
        ("[engine]\ntiers = [0.5, 0.1]", "starlingd.toml: engine.tiers: the two shares must grow"),
        ("[engine]\nindicators = []", "starlingd.toml: engine.indicators: List should have at least 1 item"),
        ("[http]\nport = 'x'\n[log]\npartitions = 0", "(and 1 more)"),
        ("[http", "starlingd.toml is not TOML: "),
    ],
)  # fmt: skip
def test_the_sentence_names_the_place_and_what_is_allowed(tmp_path: Path, text: str, said: str) -> None:
    sentence = refusal(tmp_path, text)
    assert said in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("STARLINGD_FOO", "STARLINGD_FOO: there is no setting 'foo' at the top level"),
        ("STARLINGD_WINDOWS", "STARLINGD_WINDOWS: is a section; name one of its keys"),
        ("STARLINGD_HTTP__PORT", "STARLINGD_HTTP__PORT: should be a valid integer"),
        ("STARLINGD_HTTP__PORT__X", "STARLINGD_HTTP__PORT__X: there is no setting 'x'"),
        ("STARLINGD_PORT_8080_TCP", "set enableServiceLinks: false"),
    ],
)
def test_variables_that_mean_nothing_are_refused_by_name(tmp_path: Path, variable: str, said: str) -> None:
    assert said in refusal(tmp_path, "", {variable: "one", "HOME": "/"})


def test_flags_that_mean_nothing_are_refused_as_they_were_written(tmp_path: Path) -> None:
    assert refusal(tmp_path, "", {}, "http.prot=1").startswith("--set http.prot: there is no setting 'prot'")
    assert refusal(tmp_path, "", {}, "http.port") == "--set http.port is not section.key=value"
    assert "gives http as a single value" in refusal(tmp_path, "", {}, "http=1", "http.port=1")
    assert "--set http gives a single value to a section" in refusal(tmp_path, "", {}, "http.port=1", "http=1")


@given(st.integers(1, 400), st.integers(1, 600))
def test_a_window_is_a_multiple_of_twelve_buckets(buckets: int, seconds: int) -> None:
    length, bucket = format_duration(buckets * seconds * 1_000_000), format_duration(seconds * 1_000_000)
    flags = [("--a", "windows.length", length), ("--b", "windows.bucket", bucket), ("--c", "log.retention", "999d")]
    if buckets % PHASES:
        with pytest.raises(ConfigError, match=r"^--a and --b: .* is not a multiple of 12 buckets$"):
            load(flags=flags)
    else:
        assert load(flags=flags).config.windows.length == buckets * seconds * 1_000_000


def test_the_log_keeps_two_windows_and_a_margin(tmp_path: Path) -> None:
    said = refusal(tmp_path, '[log]\nretention = "2h"')
    assert said == (
        "starlingd.toml: log.retention and the default of windows.length: "
        "two windows and a margin need 2h2m5s, longer than the log keeps events"
    )
    assert load(toml(tmp_path, '[log]\nretention = "2h2m5s"')).config.log.retention == 122 * MINUTE + 5_000_000


def test_a_secret_is_in_no_message_and_in_no_print(tmp_path: Path) -> None:
    assert "hunter2" not in refusal(tmp_path, "[log.sasl]\npassword = ['hunter2']")
    loaded = load(None, {"STARLINGD_LOG__SASL__PASSWORD": "hunter2"})
    assert "hunter2" not in render(loaded) + repr(loaded.config) + loaded.config.model_dump_json()
    assert "# password is set, and not shown" in render(loaded)
    assert loaded.config.log.sasl.password
    assert loaded.config.log.sasl.password.get_secret_value() == "hunter2"


def test_what_is_printed_is_read_back_as_the_same(tmp_path: Path) -> None:
    given = load(None, {}, [parse_assignment(one) for one in ("windows.length=24m", "engine.panels=7", 'scorer=é"x')])
    again = load(toml(tmp_path, render(given)))
    assert again.config.model_dump() == given.config.model_dump()


def test_every_setting_says_what_it_means() -> None:
    told = [line for line in render(load()).splitlines() if line.startswith("# None")]
    assert told == []


def test_the_environment_of_the_process_is_not_read_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIR", "/nowhere")
    monkeypatch.setenv("STARLINGD_SCORER", "none")
    assert Config().scorer == load().config.scorer == "vader"
    assert read_environment({"STATE_DIR": "/nowhere"}).values == {}


def test_check_exits_0_or_2_and_print_shows_origins(tmp_path: Path) -> None:
    run = CliRunner().invoke
    good = run(cli, ["config", "check", "--config", str(toml(tmp_path, "[http]\nport = 1\n")), "--host", "::1"])
    assert (good.exit_code, good.stdout) == (0, "The configuration is good: 2 settings given, the others by default.\n")
    bad = run(cli, ["config", "check", "--port", "65536"])
    assert bad.exit_code == 2
    assert bad.stderr == "starlingd: --port: should be less than or equal to 65535, not '65536'\n"
    for setting, said in (
        ("engine.indicators=mood", "starlingd: engine.indicators: there is no indicator 'mood'"),
        ("scorer=mood", "starlingd: There is no scorer 'mood'"),
        ("source.hosts=a/b", "starlingd: The source host 'a/b' is not one"),
    ):
        bad = run(cli, ["config", "check", "--set", setting])
        assert bad.exit_code == 2
        assert bad.stderr.startswith(said)
    printed = run(cli, ["config", "print", "--set", "http.port=4"])
    assert "[--set http.port]\nport = 4\n" in printed.stdout
