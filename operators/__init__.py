"""Bytewax operators: thin steps around what decides, renders and delivers.

A step is an `@operator` at the end of its file, and a logic class that Bytewax calls. A file `xxx_parts` has
what the step is built from.

**Decode**: raw records to bundles, within the source.

| module | what it does |
|---|---|
| `decode` | bundles a batch by key group, channel and tracker |
| `decode_parts` | its settings and collaborators |
| `parsing` | what a record says, and whose it is |
| `first_read` | where and when a forwarded event was first read |
| `forwarding` | records of other partitions |
| `spreading` | records without a user of their own |
| `homes` | the partition and key group of a user |
| `undecodable` | dead letters of what cannot be decoded |

**Gate**: bundles to decisions, one key group at a time.

| module | what it does |
|---|---|
| `gate` | hangs the gate into Bytewax |
| `gate_parts` | its inputs and collaborators |
| `group_gate` | fires timers and decides inputs of one key group |
| `effects` | applies decisions to store and outbox |
| `pace` | how much of the worker's time timers may take |
| `sweep` | drops state that no decision needs any more |
| `suppressions` | addresses blocked for all users, as rows of the key group |
| `corrections` | texts of profiles, and corrected ones |
| `broadcasts` | rulings and orders of broadcasts |
| `broadcast_turns` | turns of broadcasts: each decides for some users |
| `broadcast_index` | the parts of broadcasts, as rows of the key group |
| `broadcast_lists` | lists of users of broadcasts, as rows of the key group |
| `recurring` | timers of schedules |

**Fan-out**: events of topics to events of users.

| module | what it does |
|---|---|
| `fan_out` | takes subscriptions and events, and fans out in turns |
| `fan_out_parts` | its bounds and collaborators |

**After the gate.**

| module | what it does |
|---|---|
| `deliver` | messages to providers |
| `track` | outcomes to the analytical store |
"""
