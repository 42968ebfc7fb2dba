"""What can go wrong with another device, each in one line that says what to do."""

import re
import shlex

from liteport.errors import DeviceError

from .hosts import Host

# What ssh writes, looked for in this order: a changed key is also a failed verification.
_SSH: tuple[tuple[str, str], ...] = (
    (
        r"could not resolve hostname",
        "no machine of that name is known; check the spelling, or give its address",
    ),
    (
        r"identification has changed|host key .* has changed",
        "its host key is not the one that is known; if the device was set up anew, remove the old one "
        "(ssh-keygen -R {known}), connect once by hand and compare the new one",
    ),
    (
        r"host key verification failed|no .*host key is known",
        "its host key is not known here; connect once by hand (ssh {login}), compare the fingerprint and accept it",
    ),
    (
        r"permission denied|too many authentication failures",
        "permission denied; install a key there (ssh-copy-id {login}) or load it (ssh-add)",
    ),
    (
        r"connection refused",
        "nothing answers on its SSH port; start the SSH server there (sudo systemctl enable --now ssh), or name "
        "another port: user@device:2222",
    ),
    (
        r"timed out|no route to host|network is unreachable|host is down|not responding",
        "unreachable; check that it is on and in the same network",
    ),
    (
        r"connection (closed|reset)|closed by remote host|broken pipe|connection to .* closed",
        "the connection was closed; look into the log there (journalctl -u ssh)",
    ),
)

_PIP: tuple[tuple[str, str], ...] = (
    (r"no space left on device", "no space is left for liteport's packages; free some, or set TMPDIR there"),
    (
        r"name resolution|name or service not known|failed to establish a new connection|network is unreachable"
        r"|connecttimeout|connection to .* timed out|nodename nor servname",
        "pip reaches no package index from there; connect the device to the internet, or name an index in its pip.conf",
    ),
)


def ssh_failure(host: Host, output: str) -> DeviceError:
    """Makes the error for a connection that ssh did not make, or that was lost.

    Args:
        host: The machine.
        output: What ssh wrote to standard error.
    """
    known = _known(_SSH, output)
    terms = {"login": " ".join(host.arguments), "known": shlex.quote(host.known_as)}
    reason = known.format(**terms) if known else _last_line(output) or "ssh ended without a word"
    return DeviceError(f"{host.given}: {reason}")


def pip_failure(host: str, output: str) -> DeviceError:
    """Makes the error for packages that pip did not install.

    Args:
        host: As the user gave it.
        output: What pip wrote.
    """
    errors = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    last = errors[-1].removeprefix("ERROR: ") if errors else _last_line(output)
    return DeviceError(f"{host}: {_known(_PIP, output) or f'liteport could not be installed there: {last}'}")


def _known(table: tuple[tuple[str, str], ...], output: str) -> str | None:
    return next((reason for pattern, reason in table if re.search(pattern, output, re.IGNORECASE)), None)


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()
