"""The directory of one shard: `base/` (RocksDB) and `recovery/` (Bytewax's store), which belong together."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from bytewax.recovery import init_db_dir

from tocsin.errors import StateError
from tocsin.store.base import Base
from tocsin.store.identity import Identity

_STORE_FILE = "part-0.sqlite3"


def recovery_dir(path: Path) -> Path:
    """Name the directory for `bytewax.recovery.RecoveryConfig`."""
    return path / "recovery"


def base_dir(path: Path) -> Path:
    """Name the directory of the base."""
    return path / "base"


def prepare(path: Path, identity: Identity) -> None:
    """Make what a first start needs; refuse if one half of an older state is gone.

    Each half is made under another name, synced and renamed, base first: a crash leaves a half that is
    whole or none. The store has one partition: each costs fsyncs an epoch, and only resume with 100,000s
    of keys would gain; we have key groups.
    """
    try:
        _prepare(path, identity)
    except OSError as error:
        msg = f"{path} cannot be prepared ({error.strerror}): look at its rights, its disk and its mount"
        raise StateError(msg) from error


def _prepare(path: Path, identity: Identity) -> None:
    base, store = base_dir(path), recovery_dir(path)
    if store.exists() and not base.exists():
        msg = (
            f"{base} is gone, but {store} is there: put back both from one backup, "
            "or remove both to start anew"
        )
        raise StateError(msg)
    path.mkdir(parents=True, exist_ok=True)
    if not base.exists():
        _make(base, lambda new: Base.create(new, identity))
    if not store.exists():
        _refuse_used(base, store, identity)
        _make(store, _create_store)
    if not (store / _STORE_FILE).exists():
        msg = f"{store / _STORE_FILE} is missing: put back {base} and {store} from one backup"
        raise StateError(msg)


def _refuse_used(base: Path, store: Path, identity: Identity) -> None:
    opened = Base(base, identity)
    applied = opened.meta.applied
    opened.close()
    if applied:
        msg = (
            f"{store} is gone, but {base} is at epoch {applied}: put back both from one backup, "
            "or remove both to start anew"
        )
        raise StateError(msg)


def _create_store(new: Path) -> None:
    new.mkdir()
    init_db_dir(new, 1)


def _make(path: Path, create: Callable[[Path], None]) -> None:
    new = path.with_name(f"{path.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    create(new)
    new.rename(path)
    _sync_dir(path.parent)


def _sync_dir(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
