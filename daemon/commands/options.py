"""The options by which commands take the configuration, the same wherever they are taken."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from daemon.config.loading import load, parse_assignment

FLAGS = {
    "--source": ("source.kind", "relay, jetstream2, jetstream1, simulator or recording"),
    "--hosts": ("source.hosts", "host of the source; the public one unless given"),
    "--log": ("log.kind", "sqlite or kafka"),
    "--bootstrap": ("log.bootstrap", "Kafka brokers, host:port with commas between"),
    "--state-dir": ("state_dir", "cursor, checkpoints and the embedded log"),
    "--device": ("engine.device", "auto, cpu or cuda"),
    "--publish": ("publish.policy", "all, top:K or mass:P"),
    "--host": ("http.host", "address of the page, probes, metrics and API"),
    "--port": ("http.port", "its port; 0 takes any free one"),
    "--log-level": ("logging.level", "debug, info, warning or error"),
    "--log-format": ("logging.format", "console or json"),
}
"""Settings that have a flag of their own; every other is reached with --set."""


def configured(flags: Sequence[str] = tuple(FLAGS)) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command `--config`, `--set` and these flags; it is called with `loaded`, the configuration read."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def command(config_file: Path | None, assignments: tuple[str, ...], **arguments: Any) -> Any:
            given = [parse_assignment(text) for text in assignments]
            for flag in flags:
                value = arguments.pop(_name(flag))
                if value is not None:
                    given.append((flag, FLAGS[flag][0], value))
            return function(loaded=load(config_file, os.environ, given), **arguments)

        command.__doc__, command.__name__ = function.__doc__, function.__name__
        wrapped: Callable[..., Any] = command
        for flag in reversed(flags):
            key, text = FLAGS[flag]
            wrapped = click.option(flag, _name(flag), help=f"{text} ({key})")(wrapped)
        wrapped = click.option(
            "--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Any other setting; repeatable."
        )(wrapped)
        parameters = getattr(function, "__click_params__", [])
        wrapped = click.option(
            "--config", "config_file", type=click.Path(path_type=Path), help="TOML file; else STARLINGD_CONFIG's."
        )(wrapped)
        wrapped.__click_params__ = [*parameters, *wrapped.__click_params__]  # type: ignore[attr-defined]  # click keeps them there
        return wrapped

    return decorate


def _name(flag: str) -> str:
    return f"flag_{flag.removeprefix('--').replace('-', '_')}"
