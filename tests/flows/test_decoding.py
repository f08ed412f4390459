"""The decoder of a shard, by its settings."""

import msgspec
import pytest
from pydantic import SecretStr

from flows.decoding import decoder
from operators.gate import GroupBatch
from sources.client import ConsumerPolicy
from sources.consumer import KafkaConsumer, unlimited
from tests.providers.samples import message
from tocsin.app.settings import Settings
from tocsin.formats.marks import Marks
from tocsin.model import topics
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord

SECRET = "the secret of this shard"


@pytest.mark.parametrize(("sealed_with", "step"), [(SECRET, "gate"), ("the secret of another", "outbox")])
def test_marks_are_read_with_the_secret_of_the_settings(sealed_with: str, step: str) -> None:
    settings = Settings(secret=SecretStr(SECRET), partitions=1)
    policy = ConsumerPolicy(settings.kafka, settings.topic_prefix, topics.GATE_INPUTS, (0,))
    decode = decoder(settings, KafkaConsumer(policy, allowance=unlimited), {})
    sent = message("sms")
    report = {"kind": "opted_out", "mark": Marks(sealed_with.encode()).of(sent)}
    (routed,) = decode([RawRecord(topics.RECEIPTS, 0, 0, 1, None, msgspec.json.encode(report), ())])
    assert routed.step == step
    if isinstance(routed.bundle, GroupBatch):
        (entry,) = routed.bundle.inputs
        assert isinstance(entry.item, ReceiptEvent)
        assert (entry.user_key, entry.item.message_id) == ("acme/u-1", sent.message_id)
