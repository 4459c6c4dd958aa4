"""A configuration written as TOML that `--config` reads back: every setting, what it means, where it came from.

Secrets are never written: their line is a comment that says only whether they are set.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, SecretStr

from daemon.config.loading import Key, Loaded


def render(loaded: Loaded) -> str:
    """Return the configuration as TOML; a setting that is not given and has no default is a comment."""
    return "\n".join(_section(loaded.config, (), loaded)).strip() + "\n"


def _section(section: BaseModel, above: Key, loaded: Loaded) -> Iterator[str]:
    plain = section.model_dump(mode="json")
    below: list[tuple[Key, BaseModel]] = []
    if above:
        yield from ("", f"# {(section.__doc__ or '').strip()}", f"[{'.'.join(above)}]")
    for name, info in type(section).model_fields.items():
        value, key = getattr(section, name), (*above, name)
        if isinstance(value, BaseModel):
            below.append((key, value))
            continue
        origin = loaded.origins.get(key)
        yield f"# {info.description}" + (f" [{origin}]" if origin else "")
        if info.annotation in (SecretStr, SecretStr | None):
            yield f"# {name} is {'set, and not shown' if value else 'not set'}"
        elif value is None:
            yield f"# {name} ="
        else:
            yield f"{name} = {_toml(value if isinstance(value, Path) else plain[name])}"
    for key, inner in below:
        yield from _section(inner, key, loaded)


def _toml(value: object) -> str:
    """Return a value as TOML, whose strings, numbers, booleans and lists are written as JSON writes them."""
    if isinstance(value, Path):
        return json.dumps(str(value), ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)
