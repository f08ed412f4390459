"""Measures how long one render takes, per channel: `python -m bench.render [--json] [--rounds N]`.

Every message is another event of the demo and is rendered once, as in a stream: only what a stream keeps
warm is warm. Figures are medians over rounds in microseconds, of CPU and of the wall; on a busy machine only
the first means something.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import msgspec

from tocsin.catalog.loader import load
from tocsin.devkit.demo_data import DemoData
from tocsin.devkit.flights import chosen_days
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target
from tocsin.render.renderer import Renderer
from tocsin.render.templates import load_templates

TARGET_US = {"push": 60, "sms": 60, "inapp": 60, "email": 250, "email with <style>": 350}
CASES = {
    "push": ("flight_delayed", "flight.delayed", "flight_updates"),
    "inapp": ("flight_landed", "flight.landed", "flight_updates"),
    "sms": ("flight_cancelled", "flight.cancelled", "service"),
    "email": ("flight_delayed", "flight.delayed", "flight_updates"),
    "email with <style>": ("flight_delayed", "flight.delayed", "flight_updates"),
}
RULES = ".pad { margin: 0 } .ink { font-weight: 400 } td { font-size: 14px } h1 { margin: 0 } a { border: 0 }"
"""Rules to inline, put before those of the shipped mails."""
LOCALES = ("en-US", "de-DE", "es-MX")


def _message(case: str, number: int, data: msgspec.Raw) -> Message:
    template, event_type, category = CASES[case]
    return Message(
        message_id=f"{number:032x}",
        notification_id=f"{number:032x}",
        tenant="default",
        user=f"passenger-{number:06d}",
        channel=case.partition(" ")[0],
        target=Target(address="nobody@example.com"),
        notification=template,
        category=category,
        template=template,
        data=data,
        locale=LOCALES[number % len(LOCALES)],
        timezone="America/New_York",
        event_id=str(number),
        event_source="/bench",
        event_type=event_type,
        event_time_ms=0,
        received_ms=0,
        decided_ms=0,
        origin=Origin("events", 0, number),
    )


class _Event(msgspec.Struct):
    type: str
    data: msgspec.Raw


def _messages(count: int) -> dict[str, list[Message]]:
    decode = msgspec.json.Decoder(_Event).decode
    found: dict[str, list[Message]] = {channel: [] for channel in CASES}
    for record in DemoData(chosen_days(30), 20_000, seed=1).events():
        try:
            event = decode(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # the broken records of the demo
        for channel, (_, event_type, _) in CASES.items():
            if event.type == event_type and len(found[channel]) < count:
                found[channel].append(_message(channel, len(found[channel]), msgspec.Raw(bytes(event.data))))
    return found


def _round(renderer: Renderer, messages: list[Message]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    for message in messages:
        renderer.render(message)
    scale = 1e6 / len(messages)
    return (time.process_time() - cpu) * scale, (time.perf_counter() - wall) * scale


def measure(rounds: int, count: int = 400) -> dict[str, dict[str, float]]:
    """Render `count` new messages of each channel a round; the first round, which compiles, is left out."""
    catalog = load(Path("examples/flights"))
    tenants = {name: tenant.spec for name, tenant in catalog.tenants.items()}
    shipped = load_templates(Path("examples/flights/templates"))
    layout = shipped["_layout/html"].replace("<style>", f"<style>{RULES}")
    plain = Renderer(shipped, tenants, b"bench" * 4)
    styled = Renderer(shipped | {"_layout/html": layout}, tenants, b"bench" * 4)
    figures = {}
    for case, messages in _messages(count * (rounds + 1)).items():
        parts = [messages[start : start + count] for start in range(0, len(messages), count)]
        _, *warm = [_round(styled if "<style>" in case else plain, part) for part in parts]
        figures[case] = {
            "cpu_us": round(statistics.median(cpu for cpu, _ in warm), 1),
            "wall_us": round(statistics.median(wall for _, wall in warm), 1),
            "target_us": TARGET_US[case],
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure(arguments.rounds)
    if arguments.json:
        print(json.dumps(figures))
        return
    for case, row in figures.items():
        print(f"{case:18} cpu {row['cpu_us']:6.1f}  wall {row['wall_us']:6.1f}  target {row['target_us']}")


if __name__ == "__main__":
    main()
