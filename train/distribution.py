"""Who takes part in a training on several machines: what the environment variable TF_CONFIG says.

TF_CONFIG is TensorFlow's own format: the addresses of all workers, which is the same for each, and which one this is.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from liteport.errors import InvalidInputError, unknown_name

Strategy = Literal["mirrored", "multiworker"]
"""`"mirrored"`: the devices of one machine. `"multiworker"`: several machines, a process on each."""

EXAMPLE = '{"cluster": {"worker": ["ann:2222", "bob:2222"]}, "task": {"type": "worker", "index": 0}}'

_ROLES = ("chief", "worker")
_ADDRESS = re.compile(r"(?P<host>[^\s:/]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]{1,5})")
_LARGEST_PORT = 65535


@dataclass(frozen=True)
class Cluster:
    """The workers of a training.

    Attributes:
        addresses: `host:port` of each; the first one is the chief, which writes what is to be kept.
        index: Which one this process is.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run folder."""
        return self.index == 0

    @property
    def count(self) -> int:
        """The number of workers."""
        return len(self.addresses)

    def host_and_port(self, index: int) -> tuple[str, int]:
        """Returns the parts of a worker's address."""
        host, _, port = self.addresses[index].rpartition(":")
        return host.strip("[]"), int(port)


def check_strategy(name: str) -> Strategy:
    """Returns the name of a strategy as it came.

    Raises:
        InvalidInputError: If there is none of that name.
    """
    if name not in get_args(Strategy):
        raise unknown_name("strategy", name, get_args(Strategy))
    return name  # type: ignore[return-value]


def check_tf_config(text: str | None) -> Cluster:
    """Reads TF_CONFIG.

    Args:
        text: Its value; None where it is not set.

    Raises:
        InvalidInputError: If it is not set, not JSON, lacks something, or contradicts itself.
    """
    if text is None or not text.strip():
        raise _wrong("is not set")
    try:
        config = json.loads(text)
    except ValueError as error:
        raise _wrong(f"is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise _wrong(f"is a {type(config).__name__}, not an object")
    cluster, task = (_part(config, name) for name in ("cluster", "task"))
    roles = _addresses(cluster)
    addresses = tuple(address for role in _ROLES for address in roles.get(role, []))
    return Cluster(addresses, _index(task, roles))


def _wrong(what: str) -> InvalidInputError:
    return InvalidInputError(f"TF_CONFIG {what}; expected such as {EXAMPLE}, with each worker's own index")


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if not isinstance(config.get(name), dict):
        raise _wrong(f"has no {name!r}" if name not in config else f"has a {name!r} that is not an object")
    return config[name]  # type: ignore[no-any-return]


def _addresses(cluster: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns the addresses by role, each checked."""
    others = [role for role in cluster if role not in _ROLES]
    if others:
        raise _wrong(f"has the role {others[0]!r} in its cluster; known: {', '.join(_ROLES)}")
    for role, addresses in cluster.items():
        if not isinstance(addresses, list) or not addresses:
            raise _wrong(f"has no list of addresses for {role!r}")
        for address in addresses:
            _check_address(address)
    if len(cluster.get("chief", [])) > 1:
        raise _wrong("has more than one chief")
    everyone = [address for addresses in cluster.values() for address in addresses]
    if not everyone:
        raise _wrong("has no worker in its cluster")
    twice = sorted({address for address in everyone if everyone.count(address) > 1})
    if twice:
        raise _wrong(f"has the address {twice[0]} more than once")
    return dict(cluster)


def _check_address(address: object) -> None:
    found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if found is None or not 1 <= int(found["port"]) <= _LARGEST_PORT:
        raise _wrong(f"has the address {address!r}, which is not host:port with a port from 1 to {_LARGEST_PORT}")


def _index(task: Mapping[str, Any], roles: Mapping[str, list[str]]) -> int:
    """Returns the place of the task among all workers, chief first."""
    role, index = task.get("type"), task.get("index")
    if not isinstance(role, str) or role not in roles:
        raise _wrong(f"has the task type {role!r}, and its cluster has {', '.join(roles)}")
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(roles[role]):
        raise _wrong(f"has the task index {index!r}, and its cluster has {len(roles[role])} of type {role!r}")
    before = len(roles.get("chief", [])) if role == "worker" else 0
    return before + index
