"""A temporary folder on another machine, over one SSH connection of the system's own `ssh`.

The connection's first session, the *keeper*, makes the folder and then only waits for the end of its input. That comes
when the block ends, when this program dies, or when the connection breaks: it then ends what still runs there and
removes the folder. All else runs in further sessions of the same connection (ssh's ControlMaster), so that a user
is asked for a passphrase once at most, by ssh itself and on the terminal.
"""

import contextlib
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from liteport.errors import DeviceError, InvalidInputError

from .failures import ssh_failure
from .hosts import Host, parse_host

_CLEANUP_S = 30

# Ctrl-C reaches every program on the terminal; ssh must outlive it until the folder is removed.
_UNINTERRUPTED = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")

# What must hold whatever the user's configuration says; options of the command line come first.
_OURS = ("ControlMaster=yes", "ControlPersist=no", "RemoteCommand=none", "LogLevel=INFO")
# What the user's own --ssh-option or a default is for.
_DEFAULTS = ("ConnectTimeout=15", "ServerAliveInterval=10", "ServerAliveCountMax=3")

_SAYS = "liteport: "
"""Begins the lines that are meant for this program: a login shell there may write lines of its own before them."""

# `read` and not `cat`, which would be one more process; the folder is private, as bundles may be.
_KEEPER = """
umask 077
found=
for place in "${TMPDIR:-/var/tmp}" /var/tmp /tmp "$HOME"; do
  [ -d "$place" ] && [ -w "$place" ] || continue
  set -- $(df -Pk "$place" | tail -n 1)
  if [ "${4:-0}" -ge SPACE ]; then folder=$(mktemp -d "$place/liteport-XXXXXXXX") && break; fi
  found="$found $place $((${4:-0} / 1024)) MB,"
  folder=
done
[ -n "$folder" ] || { echo "liteport: full$found"; exit 0; }
finish() {
  trap "" HUP INT TERM PIPE
  [ -f "$folder/work.pid" ] && kill -s KILL -- "-$(cat "$folder/work.pid")" 2>/dev/null
  rm -rf "$folder" 2>/dev/null || { sleep 1; rm -rf "$folder"; }
}
trap finish EXIT
trap "exit 1" HUP INT TERM PIPE
echo "liteport: folder $(cd "$folder" && pwd -P)"
while read -r line; do :; done
"""


@dataclass(frozen=True)
class Finished:
    """What a script left.

    Attributes:
        code: Its exit code.
        output: What it wrote to standard output.
        told: What it wrote to standard error.
    """

    code: int
    output: bytes
    told: str


class Connection:
    """A folder on another machine; `connected` makes one.

    Attributes:
        host: As the user gave it.
        folder: The folder's absolute path there.
    """

    def __init__(
        self, host: Host, folder: str, socket: Path, keeper: "subprocess.Popen[bytes]", log: IO[bytes]
    ) -> None:
        self.host, self.folder = host.given, folder
        self._machine = host
        self._keeper, self._log = keeper, log
        # Only ever through the connection there is: without it, the proxy command fails at once.
        settings = ("-F", "none", "-T", "-S", str(socket), "-o", "ProxyCommand=false")
        self._ssh = (*_UNINTERRUPTED, "ssh", *settings, "x")

    def run(self, script: str, show: Callable[[str], None] | None = None) -> Finished:
        """Runs a shell script in the folder.

        Args:
            script: For a POSIX shell. Whatever is put into it must be quoted.
            show: Called with each line that it writes to standard error.

        Raises:
            DeviceError: If the connection is lost.
        """
        text = f"cd {shlex.quote(self.folder)} || exit\necho '{_SAYS}begin'\n{script}"
        with TemporaryFile() as output, self._session(("sh", "-s"), stdout=output, stderr=subprocess.PIPE) as session:
            assert session.stdin is not None
            assert session.stderr is not None
            with contextlib.suppress(BrokenPipeError), session.stdin:
                session.stdin.write(text.encode())
            told = []
            for line in session.stderr:
                told.append(line.decode(errors="replace"))
                if show is not None and told[-1].strip():
                    show(told[-1].strip())
            code = session.wait()
            output.seek(0)
            content = output.read().partition(f"{_SAYS}begin\n".encode())[2]
        self._check(code)
        return Finished(code, content, "".join(told))

    def send(self, files: Mapping[str, Path], show: Callable[[int, str], None]) -> None:
        """Copies files into the folder, in one stream.

        Args:
            files: By their paths relative to the folder.
            show: Called with how many have been sent, and the last one's path.

        Raises:
            DeviceError: If the connection is lost, or they cannot be written there.
        """
        command = f"tar -xof - -C {shlex.quote(self.folder)}"
        with TemporaryFile() as log, self._session((command,), stdout=subprocess.DEVNULL, stderr=log) as session:
            assert session.stdin is not None
            with (
                contextlib.suppress(BrokenPipeError),  # its exit code and its words say why
                session.stdin,
                tarfile.open(fileobj=session.stdin, mode="w|", dereference=True) as stream,
            ):
                for number, (name, path) in enumerate(files.items(), 1):
                    stream.add(path, name, recursive=False, filter=_anonymous)
                    show(number, name)
            code = session.wait()
            log.seek(0)
            told = log.read().decode(errors="replace").strip()
        self._check(code)
        if code != 0:
            raise DeviceError(f"{self.host}: the files could not be written there: {told.rpartition(chr(10))[2]}")

    @contextmanager
    def _session(
        self, command: Sequence[str], *, stdout: IO[bytes] | int, stderr: IO[bytes] | int
    ) -> Iterator["subprocess.Popen[bytes]"]:
        with subprocess.Popen((*self._ssh, *command), stdin=subprocess.PIPE, stdout=stdout, stderr=stderr) as session:
            try:
                yield session
            except BaseException:  # Ctrl-C as well; the keeper ends what runs there
                session.kill()
                raise

    def _check(self, code: int) -> None:
        """Tells a lost connection from a script that failed; ssh ends with 255 for either."""
        if code != 255:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(timeout=1)  # sessions end a moment before it
        if self._keeper.poll() is not None:
            reason = str(ssh_failure(self._machine, _text(self._log))).removeprefix(f"{self.host}: ")
            raise DeviceError(f"{self.host}: the connection was lost in the middle of the work ({reason})")


@contextmanager
def connected(host: str, options: Sequence[str] = (), *, space: int = 0) -> Iterator[Connection]:
    """Connects to a machine and makes a folder there, which is removed when the block ends.

    Without a terminal ssh asks nothing (BatchMode), so an unknown host key is an error. Whether keys are checked
    strictly is for the user's ssh configuration to say, whose default asks.

    Args:
        host: `device`, `user@device`, `user@device:2222`, `user@[fe80::1]:2222` or a name of ~/.ssh/config.
        options: Settings for ssh, `KEY=VALUE` as in ~/.ssh/config.
        space: Bytes that must be free where the folder is.

    Raises:
        InvalidInputError: If `host` or an option is none of these.
        DeviceError: If there is no ssh here, the machine cannot be reached, does not let us in, or has no such space.
    """
    machine = parse_host(host)
    for option in options:
        if not re.fullmatch(r"[A-Za-z]\w*\s*[= ].+", option):
            raise InvalidInputError(
                f"{option!r} is no setting of ssh; expected KEY=VALUE, as in IdentityFile=~/.ssh/pi"
            )
    if shutil.which("ssh") is None:
        raise DeviceError("ssh is not installed here; run: sudo apt install openssh-client")
    with TemporaryDirectory(prefix="liteport-ssh-") as private, Path(private, "log").open("w+b") as log:
        socket = Path(private, "ssh")
        batch = () if sys.stdin.isatty() and sys.stderr.isatty() else ("BatchMode=yes",)
        settings = [part for option in (*_OURS, *batch, *options, *_DEFAULTS) for part in ("-o", option)]
        command = (*_UNINTERRUPTED, "ssh", "-aTx", "-S", str(socket), *settings, *machine.arguments, "sh", "-s")
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as keeper:
            try:
                folder = _started(keeper, machine, space, log)
            except BaseException:
                keeper.terminate()  # and not kill: while it asks for a passphrase, the terminal shows no letters
                raise
            try:
                yield Connection(machine, folder, socket, keeper, log)
            finally:
                _end(keeper)


def _started(keeper: "subprocess.Popen[bytes]", host: Host, space: int, log: IO[bytes]) -> str:
    """Starts the keeper's script and returns the folder that it made."""
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # ssh has ended: its log says why
        keeper.stdin.write(_KEEPER.replace("SPACE", str(-(-space // 1024))).encode())
        keeper.stdin.flush()
    for line in keeper.stdout:
        word, _, rest = line.decode(errors="replace").rstrip("\n").partition(_SAYS)[2].partition(" ")
        if word == "folder":
            return rest
        if word == "full":
            needed = f"expected {space / 1e6:.0f} MB free for a while"
            raise DeviceError(
                f"{host.given}: {needed}, found {rest.rstrip(',') or 'no temporary folder'}; free some there"
            )
    with contextlib.suppress(BrokenPipeError):
        keeper.stdin.close()
    keeper.wait()
    raise ssh_failure(host, _text(log))


def _end(keeper: "subprocess.Popen[bytes]") -> None:
    """Has the keeper remove its folder, and waits for it."""
    assert keeper.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        keeper.stdin.close()
    try:
        keeper.wait(timeout=_CLEANUP_S)
    except subprocess.TimeoutExpired:
        keeper.terminate()


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leaves out whose a file is here, who may be somebody else there."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _text(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")
