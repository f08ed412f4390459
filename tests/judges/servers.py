"""Servers that judge requests by a provider's own contract: Prism by OpenAPI, moto by Amazon's models.

They are installed once into a folder of their own (`TOCSIN_JUDGES`, else the user's cache), not into the
environment of the tests. A test is skipped, and says why, where that cannot be done.
`python -m tests.judges.servers` installs them beforehand.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tocsin.devkit.processes import free_ports

PRISM = "@stoplight/prism-cli@5.14.2"
MOTO = ("moto==5.2.5", "flask==3.1.3", "flask-cors==6.0.5")
SPECS = Path(__file__).parent / "specs"
START_S = 60
INSTALL_S = 300


def folder(name: str) -> Path:
    """Name the folder of a judge."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TOCSIN_JUDGES") or Path(cache) / "tocsin-judges") / name


def installed(made: Path, *commands: Sequence[str]) -> Path:
    """Run the commands that make a file, unless it is there; skip the test if one fails."""
    made.parent.parent.mkdir(parents=True, exist_ok=True)
    for command in () if made.exists() else commands:
        if not shutil.which(command[0]):
            pytest.skip(f"{command[0]} is not here: install it to have this judge")
        ended = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        if ended.returncode:
            pytest.skip(f"{command[0]} could not install {command[-1]}: {ended.stderr.strip()[-200:]}")
    return made


def prism() -> Path:
    """Give Prism's command."""
    home = folder("prism")
    return installed(
        home / "node_modules/.bin/prism",
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home), PRISM],
    )


def moto() -> Path:
    """Give the interpreter of an environment with moto."""
    home = folder("moto")
    python = home / "venv/bin/python"
    uv = Path(sys.executable).with_name("uv")
    pip = [str(python), "-m", "pip", "install"]
    if uv.exists():
        pip = [str(uv), "pip", "install", "--python", str(python)]
    installed(
        home / "venv/bin/moto_server",
        [sys.executable, "-m", "venv", str(home / "venv")],
        [*pip, "--quiet", *MOTO],
    )
    return python


@contextlib.contextmanager
def serving(port: int, *command: str) -> Iterator[str]:
    """Run a server until the context ends; its URL once it takes connections."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _await_port(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.communicate(timeout=START_S)
        finally:
            process.kill()


def _await_port(port: int, process: subprocess.Popen[str]) -> None:
    for _ in range(START_S * 10):
        assert process.poll() is None, f"the judge did not start: {process.communicate()[1]}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    pytest.fail(f"the judge did not listen within {START_S} s")


@contextlib.contextmanager
def prism_of(spec: Path) -> Iterator[str]:
    """Run Prism over a contract: what breaks it is answered 422, or 401 without the credentials it names."""
    (port,) = free_ports(1)
    with serving(
        port, str(prism()), "mock", "--errors", "-h", "127.0.0.1", "-p", str(port), str(spec)
    ) as url:
        yield url


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's server of Amazon's APIs."""
    (port,) = free_ports(1)
    with serving(port, str(moto()), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)) as url:
        yield url


def _install() -> None:
    """Install all; what cannot be installed is told, and the tests that need it are skipped."""
    for judge in (prism, moto):
        try:
            sys.stdout.write(f"{judge()}\n")
        except pytest.skip.Exception as skipped:
            sys.stdout.write(f"{skipped}\n")


if __name__ == "__main__":
    _install()
