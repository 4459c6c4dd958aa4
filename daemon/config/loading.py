"""A configuration read from a TOML file, the environment and flags, each overriding the one before.

Whatever is wrong is said in one sentence: where it stands (file and key, variable, flag), what it is, what is allowed.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from consumers.durations import format_duration
from daemon.config.model import Config
from daemon.config.values import DURATION
from daemon.errors import ConfigError

PREFIX = "STARLINGD_"
FILE_VARIABLE = "STARLINGD_CONFIG"
_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?)$")

Key = tuple[str, ...]
"""`windows.length` is ("windows", "length")."""


@dataclass(slots=True)
class Layer:
    """The values of one origin, and how that origin calls each of them."""

    values: dict[str, Any] = field(default_factory=dict)
    names: dict[Key, str] = field(default_factory=dict)

    def put(self, key: Key, value: Any, name: str) -> None:
        """Set a value under its dotted key."""
        tree = self.values
        for depth, part in enumerate(key[:-1], start=1):
            below = tree.setdefault(part, {})
            if not isinstance(below, dict):
                raise ConfigError(f"{name} is given, but {self.names[key[:depth]]} gives {part} as a single value")
            tree = below
        if isinstance(tree.get(key[-1]), dict):
            raise ConfigError(f"{name} gives a single value to a section; name a key of it as well")
        tree[key[-1]] = value
        self.names[key] = name


class _Given(PydanticBaseSettingsSource):
    """A layer as pydantic-settings wants its sources."""

    def __init__(self, settings: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings)
        self.layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Return one value; pydantic-settings asks for the whole through `__call__`."""
        return self.layer.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self.layer.values


@dataclass(slots=True, frozen=True)
class Loaded:
    """A configuration and where each value that is not a default was given."""

    config: Config
    origins: Mapping[Key, str]


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Sequence[tuple[str, str, str]] = (),
) -> Loaded:
    """Return the configuration; `flags` are (flag as written, dotted key, value).

    The file is `file` or, failing that, the one STARLINGD_CONFIG names.
    """
    environ = environ or {}
    chosen = file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    layers = [read_file(chosen) if chosen else Layer(), read_environment(environ), read_flags(flags)]
    origins = {key: name for layer in layers for key, name in layer.names.items()}

    class Layered(Config):
        @classmethod
        def settings_customise_sources(cls, settings_cls: type[BaseSettings], *_: Any, **__: Any) -> Any:
            return tuple(_Given(settings_cls, layer) for layer in reversed(layers))

    try:
        return Loaded(Layered(), origins)
    except ValidationError as error:
        raise ConfigError(_sentence(error, origins)) from None


def read_file(path: Path) -> Layer:
    """Return the values of a TOML file."""
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:  # both TOML that is none and bytes that are not UTF-8
        raise ConfigError(f"{path} is not TOML: {error}") from None
    layer = Layer()
    for key, value in _leaves(tree):
        layer.put(key, value, f"{path}: {'.'.join(key)}")
    return layer


def read_environment(environ: Mapping[str, str]) -> Layer:
    """Return the values of STARLINGD_… variables; `__` goes down into a section."""
    layer = Layer()
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable != FILE_VARIABLE:
            key = tuple(variable.removeprefix(PREFIX).lower().split("__"))
            if key[0] not in Config.model_fields and _SERVICE_LINK.search(variable):
                raise ConfigError(
                    f"{variable} is not a setting: Kubernetes adds it for a Service called starlingd; "
                    "set enableServiceLinks: false in the pod"
                )
            layer.put(key, environ[variable], variable)
    return layer


def read_flags(flags: Sequence[tuple[str, str, str]]) -> Layer:
    """Return the values of flags."""
    layer = Layer()
    for flag, key, value in flags:
        layer.put(tuple(key.split(".")), value, flag)
    return layer


def parse_assignment(text: str) -> tuple[str, str, str]:
    """Read `--set section.key=value`."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text} is not section.key=value")
    return f"--set {key.strip()}", key.strip(), value


def _leaves(tree: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _sentence(error: ValidationError, origins: Mapping[Key, str]) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "conflict":
        keys = [tuple(key.split(".")) for key in first["ctx"]["keys"].split(",")]
        named = [origins[key] if key in origins else f"the default of {'.'.join(key)}" for key in keys]
        return f"{' and '.join(named)}: {first['ctx']['sentence']}{more}"
    key = _key_of(first["loc"], origins)
    return f"{origins.get(key, '.'.join(key))}: {_complaint(first, key)}{more}"


def _key_of(location: Sequence[int | str], origins: Mapping[Key, str]) -> Key:
    """Return the given key nearest to an error: at its place, above it or, where a section is wrong, below it."""
    parts = tuple(str(part) for part in location)
    for length in range(len(parts), 0, -1):
        if parts[:length] in origins:
            return parts[:length]
    return next((key for key in origins if key[: len(parts)] == parts), parts)


def _complaint(problem: Any, key: Key) -> str:
    section, info = _find(key)
    if problem["type"] == "extra_forbidden" or section is None:
        return _unknown(key)
    if info is None or (isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)):
        return f"is a section; name one of its keys: {', '.join(section.model_fields)}"
    if problem["type"] == "greater_than_equal" and DURATION in info.metadata:
        return f"should be at least {format_duration(problem['ctx']['ge'])}, not {format_duration(problem['input'])}"
    message: str = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if SecretStr in getattr(info.annotation, "__args__", ()) or info.annotation is SecretStr:
        return message
    return message if repr(problem["input"]) in message else f"{message}, not {problem['input']!r}"


def _unknown(key: Key) -> str:
    known, _ = _find(key[:-1])
    depth = len(key) - 1
    while known is None:
        depth -= 1
        known, _ = _find(key[:depth])
    names = list(known.model_fields)
    close = "".join(f" (did you mean {name}?)" for name in difflib.get_close_matches(key[depth], names, n=1))
    place = f"in [{'.'.join(key[:depth])}]" if depth else "at the top level"
    return f"there is no setting {key[depth]!r} {place}{close}, which knows {', '.join(names)}"


def _find(key: Key) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """Return the section that a key names, or the section and the field; (None, None) when it names nothing."""
    section: type[BaseModel] = Config
    for depth, part in enumerate(key, start=1):
        info = section.model_fields.get(part)
        if info is None:
            return None, None
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            section = inner
        else:
            return (section, info) if depth == len(key) else (None, None)
    return section, None
