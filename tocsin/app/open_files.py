"""The limit of open files of a process: each connection is one."""

import resource


def allow_files(wanted: int) -> int:
    """Raise the limit as far as this process may; return how many of the wanted it may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return most
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # the kernel has a bound of its own, as that of macOS
        return soft
    return most
