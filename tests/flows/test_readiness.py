"""Readiness: one byte from a process to its supervisor."""

import os

import pytest

from flows.readiness import ReadyPipe, ready_signal


def test_a_process_that_told_is_ready() -> None:
    pipe = ReadyPipe()
    tell = ready_signal(os.dup(pipe.write_fd))
    pipe.started()
    tell()
    tell()
    assert pipe.close()


def test_a_process_that_ended_before_it_told_is_not() -> None:
    pipe = ReadyPipe()
    pipe.started()
    assert not pipe.close()


def test_a_process_that_still_runs_is_not_waited_for() -> None:
    pipe = ReadyPipe()
    assert not pipe.close()
    pipe.started()


def test_a_supervisor_that_is_gone_does_no_harm() -> None:
    pipe = ReadyPipe()
    write_fd = os.dup(pipe.write_fd)
    pipe.started()
    pipe.close()
    ready_signal(write_fd)()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(write_fd)
