"""The examples in the docstrings of this part are run."""

import doctest
from types import ModuleType

import pytest

from tocsin.providers import clean, http, mail_batch, mail_headers, mime, multipart
from tocsin.render import sms


@pytest.mark.parametrize("module", [sms, clean, http, mail_batch, mail_headers, mime, multipart])
def test_examples(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
