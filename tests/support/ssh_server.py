"""An SSH server of one's own: OpenSSH's `sshd` on 127.0.0.1, with keys and settings made for the test."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class SshServer:
    """A running server.

    Attributes:
        host: What to call it on a command line.
        folder: Where its keys are: `host_key`, `user_key`, `known_hosts`.
        process: The server.
    """

    host: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def options(self) -> tuple[str, ...]:
        """The settings with which ssh knows the server and is let in, whatever the user's own say."""
        return (
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "GlobalKnownHostsFile=/dev/null",
            f"IdentityFile={self.folder / 'user_key'}",
            f"UserKnownHostsFile={self.folder / 'known_hosts'}",
        )

    def drop_connections(self) -> None:
        """Ends the server's connections as a network failure would: without a word to what runs in them."""
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # some end with others
                if process.name().startswith("sshd"):
                    process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)


@contextmanager
def ssh_server(folder: Path, settings: str = "") -> Iterator[SshServer]:
    """Runs a server; where there is no sshd, the test is skipped.

    Args:
        folder: For its files; a second server there has the same keys.
        settings: Further lines of sshd_config.
    """
    if SSHD is None:
        pytest.skip("no sshd on this machine; make tools installs it")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it when run by root
    for name in ("host_key", "user_key"):
        if not (folder / name).exists():
            make_key(folder / name)
    port = free_port()
    host_key = (folder / "host_key.pub").read_text()
    with (folder / "known_hosts").open("a") as known:
        known.write(f"[127.0.0.1]:{port} {host_key}")
    config = folder / f"sshd_config_{port}"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host_key'}\nPidFile none\n"
        f"AuthorizedKeysFile {folder / 'user_key.pub'}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        f"KbdInteractiveAuthentication no\nPermitRootLogin yes\n{settings}\n"
    )
    with (folder / "sshd.log").open("ab") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stdin=subprocess.DEVNULL, stderr=log)
    try:
        _wait_for(port, process)
        yield SshServer(f"{getpass.getuser()}@127.0.0.1:{port}", folder, process)
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, "sshd did not start"
        time.sleep(0.02)
    raise AssertionError("sshd does not answer")
