"""A channel over the real ledger, whose Redis dies and comes back."""

from tests.operators.delivery import Rig, ScriptedProvider
from tests.providers.messages import message, record
from tests.providers.valkey import OwnValkey
from tocsin.delivery.ledger import Ledger, LedgerPolicy
from tocsin.delivery.runtime import Runtime
from tocsin.model import topics

NOW = topics.messages("email")


def test_with_redis_away_messages_wait_and_the_channel_pauses(
    runtime: Runtime, own_valkey: OwnValkey
) -> None:
    provider = ScriptedProvider()
    ledger = Ledger(LedgerPolicy(url=own_valkey.url, timeout_s=0.3), "a" * 16)
    made = Rig(runtime, [provider], ledger=ledger).feed(record(message(), 0)).until_acked(1)
    own_valkey.kill()
    made.feed(record(message("bob"), 1)).until(lambda: made.channel.allowance(NOW) == 0).run_for(0.4)
    assert made.channel.allowance(NOW) == 0
    assert len(provider.calls) == 1
    own_valkey.start()
    made.until_acked(2)
    assert made.channel.allowance(NOW) > 0
    runtime.run(ledger.close(), 60)


def test_with_redis_away_sends_go_on_if_so_chosen(runtime: Runtime, own_valkey: OwnValkey) -> None:
    own_valkey.kill()
    provider = ScriptedProvider()
    ledger = Ledger(LedgerPolicy(url=own_valkey.url, timeout_s=0.3, without_redis="send"), "a" * 16)
    made = Rig(runtime, [provider], ledger=ledger)
    made.feed(*[record(message(f"u{i}", i), i) for i in range(10)]).until_acked(10)
    assert len(provider.calls) == 10
    assert made.channel.allowance(NOW) > 0
    runtime.run(ledger.close(), 60)


def test_a_message_that_expires_while_its_claim_waits_for_redis_is_not_sent(
    runtime: Runtime, own_valkey: OwnValkey
) -> None:
    """Redis may be away for minutes; the channel looked at the time before it asked, and not again."""
    provider = ScriptedProvider()
    ledger = Ledger(LedgerPolicy(url=own_valkey.url, timeout_s=0.3), "a" * 16)
    made = Rig(runtime, [provider], ledger=ledger)
    own_valkey.kill()
    soon_ms = runtime.now_ms() + 60_000
    late = record(message("ann", expires_ms=soon_ms), 0), record(message("bob", send_by_ms=soon_ms), 1)
    made.feed(*late).until(lambda: made.channel.allowance(NOW) == 0).skip(61)
    own_valkey.start()
    made.until_acked(2)
    assert {(line.user, line.status) for line in made.outcomes()} == {("ann", "expired")}
    assert [each.reason for each in made.retries()] == ["send_window"]
    assert provider.calls == []
    runtime.run(ledger.close(), 60)
