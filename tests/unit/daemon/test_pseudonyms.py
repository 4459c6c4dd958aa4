"""Pseudonyms: one name under one key, and nobody's own name in what leaves the daemon."""

import io
import string
from pathlib import Path

import orjson
import pytest
import structlog
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from consumers.log import Topic, Topics, partition_of
from consumers.log.sqlite import SqliteLog
from consumers.snapshot import Coverage, Snapshot
from daemon.commands import cli
from daemon.config.loading import load
from daemon.config.outlets import Logging, Publish
from daemon.errors import ConfigError
from daemon.runs.cycle import Cycle, Plan
from daemon.runs.latest import Latest
from daemon.runs.pseudonyms import Pseudonyms, pseudonyms_of
from daemon.runs.recall import published
from daemon.service.logging import configure
from tests.populations import names, population

KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978"
OTHER = KEY[::-1]
TOPICS = Topics("t")
MINUTE = 60_000_000
END = 1_783_175_880_000_000


def snapshot(agents: list[str], number: int = 0, erased: tuple[str, ...] = ()) -> Snapshot:
    end = END + number * MINUTE
    size = len(agents)
    return Snapshot(
        lens="all",
        start=end - 60 * MINUTE,
        end=end,
        agents=agents,
        current=population(size, number),
        preceding=population(size, number + 1),
        coverage=Coverage(1.0),
        preceding_coverage=Coverage(1.0),
        watermark=end,
        erased=list(erased),
    )


def cycle(log: SqliteLog, pseudonyms: Pseudonyms | None, latest: Latest | None = None) -> Cycle:
    plan = Plan(("attention", "cascade"), device="cpu", panels=(20,))
    return Cycle(log, TOPICS, plan, pseudonyms=pseudonyms, partitions=range(4), latest=latest, clock=None, now=None)


async def opened(log: SqliteLog) -> SqliteLog:
    await log.ensure([Topic(TOPICS.attributions, 4, 10**12, "compact,delete"), Topic(TOPICS.runs, 1, 10**12)])
    return log


async def records(log: SqliteLog, topic: str) -> list[tuple[int, str, bytes | None]]:
    """Every record of a topic, oldest first in each partition."""
    begins, ends = await log.begin_offsets(topic), await log.end_offsets(topic)
    reader = await log.reader(topic, begins)
    found: list[tuple[int, str, bytes | None]] = []
    while any(reader.positions[partition] < end for partition, end in ends.items()):
        for chunk in await reader.poll():
            found += [(chunk.partition, (k or b"").decode(), v) for k, v in zip(chunk.keys, chunk.values, strict=True)]
    await reader.close()
    return found


@given(st.lists(st.text(min_size=1), unique=True, max_size=30))
def test_the_same_agent_has_the_same_name_however_it_is_asked_for(agents: list[str]) -> None:
    one, again = Pseudonyms(KEY), Pseudonyms(KEY)
    sorted_names, rows = one.table(agents)
    assert sorted_names == sorted(sorted_names)
    assert [agents[row] for row in rows.tolist()] == [
        dict(zip(again.of(agents), agents, strict=True))[n] for n in sorted_names
    ]
    assert one.table(agents)[0] == sorted_names
    assert len(set(sorted_names)) == len(agents)


def test_a_pseudonym_is_short_readable_and_of_its_key_alone() -> None:
    (name,) = Pseudonyms(KEY).of(["did:plc:ann"])
    assert name.startswith("p:")
    assert len(name) == 28
    assert set(name[2:]) <= set(string.digits + "abcdefghijklmnopqrstuv")
    assert Pseudonyms(OTHER).of(["did:plc:ann"]) != [name]
    assert Pseudonyms(OTHER).id != Pseudonyms(KEY).id


async def test_no_byte_of_either_topic_nor_of_what_is_shown_names_an_account_and_the_figures_stay(
    tmp_path: Path,
) -> None:
    agents = names(300)
    latest, shown_plainly = Latest(), Latest()
    async with SqliteLog(":memory:") as plain, SqliteLog(tmp_path / "log.db") as log:
        for pseudonyms, into in ((None, await opened(plain)), (Pseudonyms(KEY), await opened(log))):
            run = cycle(into, pseudonyms, latest if pseudonyms else shown_plainly)
            try:
                await run(snapshot(agents))
                await run(snapshot(agents[:200], 1, erased=(agents[250], "did:plc:unheard")))
            finally:
                run.close()
        clear, hidden = await records(plain, TOPICS.attributions), await records(log, TOPICS.attributions)
        everything = b"".join(k.encode() + (v or b"") for _, k, v in hidden + await records(log, TOPICS.runs))
    assert b"did:" in orjson.dumps(shown_plainly.runs())
    assert b"did:" in b"".join(k.encode() + (v or b"") for _, k, v in clear)
    assert b"did:" not in everything
    assert b"p:" in everything
    assert b"did:" not in orjson.dumps(latest.runs())
    top = latest.top("attention", "neutral", 5)
    assert top is not None
    assert all(row["agent"].startswith("p:") for row in top)

    def said(found: list[tuple[int, str, bytes | None]], translate: Pseudonyms | None) -> list[tuple[str, object]]:
        said = []
        for _, key, value in found:
            record = orjson.loads(value) if value else None
            if record:
                del record["agent"], record["run"]
            said.append(((translate.of([key])[0] if translate else key), record))
        return sorted(said, key=lambda one: (one[0], one[1] is None, orjson.dumps(one[1])))

    assert said(clear, Pseudonyms(KEY)) == said(hidden, None)
    assert all(partition == partition_of(key.encode(), 4) for partition, key, _ in hidden)
    assert sum(value is None for _, _, value in hidden) == 101


async def test_records_under_other_names_are_buried_when_the_mode_or_the_key_changes() -> None:
    agents = names(40)
    async with SqliteLog(":memory:") as log:
        await opened(log)
        for number, pseudonyms in enumerate((None, Pseudonyms(KEY), Pseudonyms(OTHER))):
            run = cycle(log, pseudonyms)  # a daemon that lost its checkpoint and begins anew
            try:
                record = await run(snapshot(agents, number))
            finally:
                run.close()
            assert record.tombstones == (40 if number else 0)
            expected = sorted(pseudonyms.of(agents)) if pseudonyms else agents
            assert (await published(log, TOPICS.attributions, range(4))).names == expected


async def test_who_was_erased_is_not_remembered_under_a_pseudonym_either() -> None:
    agents, pseudonyms = names(40), Pseudonyms(KEY)
    async with SqliteLog(":memory:") as log:
        run = cycle(await opened(log), pseudonyms)
        try:
            await run(snapshot(agents))
            assert agents[7] in pseudonyms._known
            await run(snapshot(agents[:7] + agents[8:], 1, erased=(agents[7],)))
        finally:
            run.close()
    assert agents[7] not in pseudonyms._known
    assert agents[8] in pseudonyms._known


def test_log_lines_name_nobody() -> None:
    pseudonyms, out = Pseudonyms(KEY), io.StringIO()
    configure(Logging(format="json", level="debug"), out, pseudonyms.cover)
    structlog.get_logger("t").warning("refused", agent="did:plc:ann", cause="at://did:web:example.com/app/1 is odd")
    assert "did:" not in out.getvalue()
    assert orjson.loads(out.getvalue())["agent"] == pseudonyms.of(["did:plc:ann"])[0]
    assert f"at://{pseudonyms.of(['did:web:example.com'])[0]}/app/1" in out.getvalue()


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "pseudonyms need a key, given once"),
        ('pseudonym_key = "short"', "publish.pseudonym_key: the key of the pseudonyms is too simple"),
        (f'pseudonym_key = "{"ab" * 40}"', "too simple"),
        ('pseudonym_key_file = "absent"', "publish.pseudonym_key_file: absent cannot be read"),
        (f'pseudonym_key = "{KEY}"\npseudonym_key_file = "absent"', "given once"),
    ],
)
def test_a_key_that_is_missing_or_can_be_guessed_is_refused_and_never_shown(
    tmp_path: Path, text: str, cause: str
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f"[publish]\npseudonyms = true\n{text}\n")
    result = CliRunner().invoke(cli, ["config", "check", "--config", str(file)])
    assert result.exit_code == 2
    assert cause in result.output
    assert KEY not in result.output
    assert "abab" not in result.output


def test_the_key_comes_from_the_environment_or_a_file_and_is_not_printed(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    from_file = load(
        None, {}, [("f", "publish.pseudonyms", "true"), ("f", "publish.pseudonym_key_file", f"{tmp_path}/key")]
    )
    environ = {"STARLINGD_PUBLISH__PSEUDONYMS": "true", "STARLINGD_PUBLISH__PSEUDONYM_KEY": KEY}
    from_environment = load(None, environ)
    both = [pseudonyms_of(loaded.config.publish) for loaded in (from_file, from_environment)]
    assert both[0] is not None
    assert both[1] is not None
    assert both[0].of(["did:plc:ann"]) == both[1].of(["did:plc:ann"])
    printed = CliRunner().invoke(cli, ["config", "print"], env=environ)
    assert printed.exit_code == 0
    assert KEY not in printed.output
    assert "pseudonym_key is set" in printed.output
    assert pseudonyms_of(Publish()) is None


def test_a_config_error_is_what_a_bad_file_gives(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe" * 40)
    settings = Publish(pseudonyms=True, pseudonym_key_file=tmp_path / "key")
    with pytest.raises(ConfigError, match="is not text"):
        pseudonyms_of(settings)
