"""What users call another machine, and what ssh does."""

import re
from dataclasses import dataclass

from liteport.errors import InvalidInputError

_HOST = re.compile(
    r"(?:(?P<user>[^\s@:-][^\s@:]*)@)?"
    r"(?:(?P<name>[^\s@:\[\]-][^\s@:\[\]]*)|\[(?P<address>[^\s@\[\]-]+)\])"
    r"(?::(?P<port>\d{1,5}))?"
)


@dataclass(frozen=True)
class Host:
    """Another machine.

    Attributes:
        given: As the user wrote it.
        user: Who to be there; None where ssh's configuration says.
        name: Its name in ssh's configuration or in the network, or its address.
        port: Of its SSH server; None where ssh's configuration says.
    """

    given: str
    user: str | None
    name: str
    port: int | None

    @property
    def arguments(self) -> tuple[str, ...]:
        """What `ssh` and `ssh-copy-id` are to be given."""
        port = ("-p", str(self.port)) if self.port else ()
        return (*port, f"{self.user}@{self.name}" if self.user else self.name)

    @property
    def known_as(self) -> str:
        """What it is called in a file of known host keys."""
        return f"[{self.name}]:{self.port}" if self.port not in (None, 22) else self.name


def parse_host(given: str) -> Host:
    """Takes apart what a user wrote.

    Args:
        given: `device`, `user@device`, `user@device:2222`, `user@[fe80::1]:2222` or a name of ~/.ssh/config.

    Raises:
        InvalidInputError: If it is none of these, or could be taken for one of ssh's options.
    """
    match = _HOST.fullmatch(given)
    if match is None or not 0 < int(match["port"] or 22) < 65_536:
        raise InvalidInputError(
            f"{given!r} is no host; expected user@device, user@device:2222, user@[fe80::1] or a name of ~/.ssh/config"
        )
    port = int(match["port"]) if match["port"] else None
    return Host(given, match["user"], match["name"] or match["address"], port)
