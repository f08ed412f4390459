"""Record the runs anew: `python -m tests.golden.record [RUN…]`, only where other decisions are wanted.

By default today's code plays the stored inputs, and its outputs replace the recorded ones. With `--inputs`
the inputs are made anew, too. With `--store` the store of the run `rules` is written anew, too: keep the
former one under another name, for older state must load. CHANGELOG.md must say which decisions changed, and
why.
"""

import argparse
import tempfile
from pathlib import Path
from types import ModuleType

from tests.golden import demo, rules, wire
from tests.golden.driver import Machine, write_store

STORE = wire.RUNS / "rules" / "store.tar.xz"
PLANS: dict[str, ModuleType] = {"demo": demo, "rules": rules}


def replay(folder: Path, settings: wire.Settings, lines: list[wire.Line]) -> wire.Outputs:
    """Play stored inputs through today's code."""
    machine = Machine(folder, settings)
    for line in lines:
        machine.play(line)
    return machine.finish()


def record_inputs(name: str, folder: Path) -> None:
    """Make the inputs of a run anew, from the plan and the answers to what today's code admits."""
    settings: wire.Settings = PLANS[name].SETTINGS
    machine = Machine(folder, settings)
    lines = PLANS[name].record(machine)
    machine.finish()
    wire.write_inputs(wire.RUNS / name / "inputs.jsonl.xz", settings, lines)


def record_outputs(name: str, folder: Path) -> None:
    """Play a run's stored inputs and store what came out."""
    settings, lines = wire.read_inputs(wire.RUNS / name / "inputs.jsonl.xz")
    wire.write_outputs(wire.RUNS / name / "outputs.jsonl.xz", replay(folder, settings, lines))


def restart_place(lines: list[wire.Line], number: int) -> int:
    """Find the line of a restart, counted from 0."""
    return [at for at, line in enumerate(lines) if isinstance(line, wire.Restart)][number]


def record_store(folder: Path) -> None:
    """Keep the store that the process of the run `rules` leaves at one of its restarts."""
    settings, lines = wire.read_inputs(wire.RUNS / "rules" / "inputs.jsonl.xz")
    machine = Machine(folder, settings)
    for line in lines[: restart_place(lines, rules.STORE_AT_RESTART)]:
        machine.play(line)
    write_store(STORE, folder, machine.stop())


def main() -> None:
    """Record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"which: {', '.join(PLANS)}; all if left out")
    parser.add_argument("--inputs", action="store_true", help="make the inputs anew, too")
    parser.add_argument("--store", action="store_true", help="write the golden store anew, too")
    chosen = parser.parse_args()
    for name in chosen.runs or PLANS:
        with tempfile.TemporaryDirectory() as folder:
            if chosen.inputs:
                record_inputs(name, Path(folder) / "inputs")
            record_outputs(name, Path(folder) / "outputs")
            if chosen.store and name == "rules":
                record_store(Path(folder) / "store")


if __name__ == "__main__":
    main()
