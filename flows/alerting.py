"""Alerts to operators, by the part `alerts` of the accounts file, from every process that delivers."""

from collections.abc import Mapping
from contextlib import ExitStack

from flows.delivery import incarnation
from flows.housekeeping import every
from tocsin.app.metrics import Meters
from tocsin.app.settings import Settings, environment
from tocsin.delivery.alert_sender import AlertSender
from tocsin.delivery.alerts import GATE, AlertPolicy, AlertWatch
from tocsin.delivery.channel import ChannelDelivery
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.runtime import Runtime
from tocsin.model.statuses import Status
from tocsin.providers.accounts import build, load_accounts
from tocsin.providers.alert_settings import AlertSettings

_LOOK_S, _CLOSE_S, _SEND_S = 1.0, 5.0, 60.0


def start_alerts(
    settings: Settings,
    channels: Mapping[str, ChannelDelivery],
    runtime: Runtime,
    meters: Meters,
    stack: ExitStack,
) -> None:
    """Look once a second for what operators are to be told; the stack ends that.

    The adapters are this task's own: a message that waits for an account keeps no alert waiting.
    """
    accounts = load_accounts(settings.providers, environment())
    wanted = accounts.alerts
    if wanted is None:
        return
    named = {target.account for target in wanted.to}
    mine = {name: account for name, account in accounts.accounts.items() if name in named}
    redis = open_client(settings.redis)
    providers = build(
        accounts.model_copy(update={"accounts": mine}), clock=lambda: runtime.now_ms() / 1000, redis=redis
    )
    sender = AlertSender(wanted, providers, redis, settings.topic_prefix, incarnation(), meters.alerts)

    async def close() -> None:
        await sender.close()
        await redis.aclose()

    stack.callback(lambda: runtime.run(close(), _CLOSE_S))
    task = AlertTask(AlertWatch(policy_of(wanted)), sender, channels, runtime, meters)
    stack.enter_context(every(_LOOK_S, task.look))


def policy_of(settings: AlertSettings) -> AlertPolicy:
    """Make the policy of what the accounts file says."""
    return AlertPolicy(
        window_ms=round(settings.window_s * 1_000),
        down_ms=round(settings.down_s * 1_000),
        dead_letters=settings.dead_letters,
    )


class AlertTask:
    """Reads what the process counts, and has sent what follows."""

    def __init__(
        self,
        watch: AlertWatch,
        sender: AlertSender,
        channels: Mapping[str, ChannelDelivery],
        runtime: Runtime,
        meters: Meters,
    ) -> None:
        self._watch = watch
        self._sender = sender
        self._channels = channels
        self._runtime = runtime
        self._meters = meters

    def look(self) -> None:
        """Look once; blocks while an alert is sent."""
        now_ms = self._runtime.now_ms()
        accounts = {
            name: each for channel in self._channels.values() for name, each in channel.conditions().items()
        }
        for alert in list(self._watch.look(now_ms, accounts, self._dead_letters())):
            if not self._runtime.run(self._sender.send(alert, accounts, now_ms), _SEND_S):
                self._watch.failed(alert, now_ms)

    def _dead_letters(self) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for name, channel in self._channels.items():
            found |= {(name, str(reason)): count for reason, count in list(channel.dead_letters.items())}
        for (status, _, reason), count in list(self._meters.decisions.items()):
            if status == Status.DEAD:
                found[GATE, reason] = found.get((GATE, reason), 0) + count
        return found
