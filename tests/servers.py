"""Real servers for tests: started on a free port of this machine, waited for, and ended."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def mlflow(
    arguments: Sequence[str], ping: str, folder: Path, port: int, environment: Mapping[str, str]
) -> Iterator[str]:
    """`mlflow ARGUMENTS` on this port, from when `ping` answers to the end of the block; its address."""
    command = [str(Path(sys.executable).with_name("mlflow")), *arguments]
    # The server looks for `uvicorn` on the PATH, where an environment that nobody activated is missing.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with started(command, ping, folder, port, {**environment, "PATH": path}) as address:
        yield address


@contextmanager
def started(
    command: Sequence[str], ping: str, folder: Path, port: int, environment: Mapping[str, str]
) -> Iterator[str]:
    """A server on this port, from when `ping` answers to the end of the block; its address. It writes to `log`."""
    environment = {**os.environ, **environment}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(process, f"{address}/{ping}", folder / "log")
        yield address
    finally:
        with suppress(ProcessLookupError):  # it ended by itself, and why is said above
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text("utf-8")[-3000:]
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"no answer from the server: {log.read_text('utf-8')[-3000:]}")
