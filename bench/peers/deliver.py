"""Deliveries: text messages from Kafka to a provider that takes 50 ms, and their outcomes back to Kafka."""

import json
import sys

from bench.peers.environments import Build
from bench.peers.kafka import Record
from bench.peers.laboratory import Laboratory
from bench.peers.product import Product, late_flight
from bench.peers.watch import Rate, Watcher, rate_of

PARTITIONS = 2
IN_FLIGHT = 512
DELAY_MS = 50.0
USERS = 20_000
MESSAGES = 60_000
_PADDING = "x" * 40


class Deliveries:
    """One method a contender; each sends as many messages with one process."""

    def __init__(self, laboratory: Laboratory, messages: int = MESSAGES) -> None:
        self._laboratory, self._messages = laboratory, messages

    def product(self, build: Build) -> Rate:
        """Decide with a build's own gate, which is not timed; then time its `deliver`."""
        laboratory, count = self._laboratory, self._messages
        with (
            laboratory.provider(DELAY_MS) as provider,
            Product(
                laboratory, build, partitions=PARTITIONS, provider=provider, in_flight=str(IN_FLIGHT)
            ) as product,
        ):
            product.load_profiles(USERS)
            product.load_events(late_flight(number, user_of(number)) for number in range(count))
            self._decide(product)
            outputs = [product.topic("outcomes")]
            with product.running("--flow", "deliver", "--channel", "sms") as children:
                watcher = Watcher(laboratory.topics, outputs, children, moved=laboratory.moved)
                return rate_of(watcher.run(count), count)

    def _decide(self, product: Product) -> None:
        with product.running("--flow", "decide") as children:
            Watcher(self._laboratory.topics, [product.topic("messages.sms.now")], children).run(
                self._messages
            )

    def prototype(self) -> Rate:
        """Time the prototype of our delivery."""
        laboratory, topics = self._laboratory, self._laboratory.topics
        topics.create(["to-send", "sent"], PARTITIONS)
        topics.fill("to-send", (_message(number) for number in range(self._messages)))
        with laboratory.provider(DELAY_MS) as provider:
            folder = laboratory.new_folder("delivery-prototype")
            command = [sys.executable, "-m", "bench.peers.delivery_prototype", topics.bootstrap]
            command += ["to-send", "sent", str(PARTITIONS), str(IN_FLIGHT)]
            command += [laboratory.redis, provider, str(folder)]
            with laboratory.running("prototype", command) as children:
                watcher = Watcher(topics, ["sent"], children, moved=laboratory.moved)
                rate = rate_of(watcher.run(self._messages), self._messages)
        topics.remove(["to-send", "sent"])
        return rate


def user_of(number: int) -> str:
    """Spread messages over users so that no user has two in flight."""
    return f"u{number % USERS:07d}"


def _message(number: int) -> Record:
    data = {"name": "Ann", "flight": "UA1545", "delay": 35, "gate": "C7", "number": number}
    user = user_of(number)
    message = {"id": f"{number:032x}", "user": user, "to": _PADDING, "data": data}
    return Record(user, json.dumps(message).encode())
