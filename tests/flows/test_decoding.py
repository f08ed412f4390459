"""The decoder of a shard, by its settings."""

import subprocess
import sys
from contextlib import ExitStack, closing

import msgspec
import pytest
from pydantic import SecretStr

from flows.decoding import decoder, open_registry
from operators.gate_parts import GroupBatch
from sources.client import ConsumerPolicy
from sources.consumer import KafkaConsumer, unlimited
from tests.providers.samples import message
from tocsin.app.settings import Settings
from tocsin.catalog.sources import SourceSpec
from tocsin.errors import SettingsError
from tocsin.formats.marks import Marks
from tocsin.model import topics
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord

SECRET = "the secret of this shard"


@pytest.mark.parametrize(("sealed_with", "step"), [(SECRET, "gate"), ("the secret of another", "outbox")])
def test_marks_are_read_with_the_secret_of_the_settings(sealed_with: str, step: str) -> None:
    settings = Settings(secret=SecretStr(SECRET), partitions=1)
    policy = ConsumerPolicy(settings.kafka, settings.topic_prefix, topics.GATE_INPUTS, (0,))
    sent = message("sms")
    report = {"kind": "opted_out", "mark": Marks(sealed_with.encode()).of(sent)}
    with closing(KafkaConsumer(policy, allowance=unlimited)) as consumer:
        decode = decoder(settings, consumer, {}, ExitStack())
        (routed,) = decode([RawRecord(topics.RECEIPTS, 0, 0, 1, None, msgspec.json.encode(report), ())])
    assert routed.step == step
    if isinstance(routed.bundle, GroupBatch):
        (entry,) = routed.bundle.inputs
        assert isinstance(entry.item, ReceiptEvent)
        assert (entry.user_key, entry.item.message_id) == ("acme/u-1", sent.message_id)


def test_a_topic_of_a_schema_registry_needs_one() -> None:
    plain = {"a": SourceSpec(format="debezium")}
    framed = {**plain, "shop.orders": SourceSpec(format="registry", type="t", user="key")}
    assert open_registry(Settings(schema_registry=""), plain) is None
    with pytest.raises(SettingsError, match=r"TOCSIN_SCHEMA_REGISTRY: not set, but .* declares shop.orders"):
        open_registry(Settings(schema_registry=""), framed)
    opened = open_registry(Settings(schema_registry="http://127.0.0.1:9"), framed)
    assert opened is not None
    opened.close()


def test_only_such_a_topic_loads_the_packages_of_the_extra() -> None:
    """An installation without the extra `registry` lacks them."""
    code = "import flows.process, sys; sys.exit(bool({'fastavro', 'google.protobuf'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
