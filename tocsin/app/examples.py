"""The shipped example catalogs: beside the package in a checkout, inside it in an installation."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def example_catalog(name: str = "flights") -> Path:
    """Return the folder of a shipped catalog.

    Args:
        name: one of the folders of `examples/`.
    """
    installed = _PACKAGE / "examples"
    return (installed if installed.is_dir() else _PACKAGE.parent / "examples") / name
