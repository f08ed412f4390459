#!/usr/bin/env bash
# Importing chdb takes Python's faulthandler out of the process, and faulthandler.enable() does not bring it back.
#
# Package: chdb-core-lite 26.5.0 (ClickHouse in process; the module is `chdb`), CPython 3.11, Linux.
# Seen: with faulthandler enabled before, `import chdb` alone installs handlers of its own for SIGILL, SIGTRAP, SIGABRT,
# SIGBUS, SIGFPE and SIGSEGV; SIGINT and SIGTERM stay as they were. faulthandler.is_enabled() still says True, so a second
# faulthandler.enable() changes nothing: a later fault of the process leaves no Python traceback. Only disable() followed
# by enable() brings faulthandler's handlers back.
# Guess from memory: a library that is only imported leaves signal handlers alone, or enable() sets them again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet chdb-core-lite==26.5.0

cat >"$folder/try.py" <<'PY'
import ctypes
import faulthandler
import signal
import sys

C = ctypes.CDLL(None)
WATCHED = ("SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGINT", "SIGTERM")


def handlers():
    """Ask the C library for the handler of each signal; `signal.getsignal` knows Python's own only."""
    found = {}
    for name in WATCHED:
        action = (ctypes.c_ubyte * 256)()
        C.sigaction(getattr(signal, name), None, action)
        found[name] = ctypes.c_void_p.from_buffer(action).value
    return found


def changed(one, other):
    return [name for name in WATCHED if one[name] != other[name]]


faulthandler.enable()
before = handlers()
import chdb  # noqa: E402, F401

imported = handlers()
faulthandler.enable()
enabled = handlers()
faulthandler.disable()
faulthandler.enable()
restored = handlers()
taken = changed(before, imported)
print("import chdb replaces:", *taken)
print("faulthandler.is_enabled():", faulthandler.is_enabled())
print("enable() changes:", *(changed(imported, enabled) or ["nothing"]))
print("left after disable() and enable():", *changed(before, restored))
stated = (
    taken == ["SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV"]
    and imported == enabled
    and changed(before, restored) == ["SIGTRAP"]
)
sys.exit(0 if stated else "the behaviour has changed")
PY
"$folder/venv/bin/python" "$folder/try.py"
