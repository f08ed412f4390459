"""The decision job of workload.py in Quix Streams: RocksDB state with changelog topics, one process.

`python -m bench.peers.quix_peer BOOTSTRAP EVENTS OUTPUT USERS GROUP STATE_DIR`; two of a group share the
partitions. Profiles are held in memory: a favour to this peer, as its table would be state too.
"""

import sys
from typing import Any

from quixstreams import Application, State  # type: ignore[import-not-found]  # its own environment

from bench.peers.workload import User, decide, profiles


def main(bootstrap: str, events: str, output: str, users: str, group: str, folder: str) -> None:
    application = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=folder,
        use_changelog_topics=True,
        producer_extra_config={"linger.ms": 20},
        commit_interval=5.0,
        loglevel="WARNING",
    )
    preferences = {name: profile["preferences"] for name, profile in profiles(int(users))}

    def gate(event: dict[str, Any], state: State) -> list[dict[str, Any]]:
        user = User(preferences[event["subject"]])
        if stored := state.get("user"):
            user.seen_ms, user.marketing_ms, user.last_ms = stored
        decision = decide(user, event)
        state.set("user", [user.seen_ms, user.marketing_ms, user.last_ms])
        return [
            {"event": event["id"], "user": event["subject"], "channel": channel, "data": event["data"]}
            for channel in decision.channels
        ]

    source = application.topic(events, value_deserializer="json")
    decided = application.dataframe(source).apply(gate, stateful=True, expand=True)
    decided.to_topic(application.topic(output, value_serializer="json"))
    application.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
