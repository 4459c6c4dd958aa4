"""Which rank this process is, of those that torchrun started to share the partitions. Free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from daemon.config.model import Config
from daemon.errors import ConfigError

Role = Literal["all", "bridge", "attribute"]


@dataclass(slots=True, frozen=True)
class Share:
    """This rank, of `size`; `local` numbers those of one machine. Not `launched` by torchrun, it is the only one."""

    rank: int = 0
    size: int = 1
    local: int = 0
    launched: bool = False

    def of(self, partitions: int) -> range:
        """Return the partitions that this rank reads: each is one rank's."""
        return range(self.rank, partitions, self.size)

    @property
    def part(self) -> str:
        """What the others of this machine are not: the name of this rank's role in the state directory."""
        return f"attribute-{self.local}" if self.local else "attribute"

    def check(self, config: Config, role: Role) -> None:
        """Raise ConfigError for what ranks cannot share."""
        if self.launched and role != "attribute":
            raise ConfigError(f"ranks share the attributing, and --role {role} is not only that: add --role attribute")
        if self.size > config.log.partitions:
            raise ConfigError(
                f"{self.size} ranks cannot share {config.log.partitions} partitions: start at most as many as there are"
            )
        if self.size > 1 and config.followers.enabled:
            raise ConfigError("followers.enabled: ranks do not know each other's; turn it off, or run one rank")


def share_of(environ: Mapping[str, str]) -> Share:
    """Return the rank that torchrun's environment names, or the only one."""
    if "TORCHELASTIC_RUN_ID" not in environ:
        return Share()
    return Share(int(environ["RANK"]), int(environ["WORLD_SIZE"]), int(environ["LOCAL_RANK"]), launched=True)
