"""Pure decisions: no I/O, no clock, no randomness.

Read `gate` first, then `on_event`, `decider` and the table in `rules`: nearly every event goes this way.

**Inputs.** One module for each kind of input; each returns the effects of one decision.

| module | what it does |
|---|---|
| `gate` | the entry: one method for each kind of input |
| `on_event` | decides an event: duplicates, recipient, matching, then the rules |
| `on_timer` | decides what was held again; has the handler of each kind of timer |
| `on_returned` | decides a message that delivery returned |
| `on_receipt` | decides what a provider or the app reports |
| `on_profile` | takes a profile over, or erases a user |
| `on_unsent` | gives slots back for what is not sent after all |

**From an input to verdicts.** Rules read an evaluation and return a verdict. They write nothing.

| module | what it does |
|---|---|
| `context` | what is the same for all decisions under one catalog |
| `policy` | bounds that are the same for all tenants |
| `recipient` | who may be reached where, from a profile or an inline contact |
| `scope` | the variables that expressions of the catalog read |
| `evaluation` | all that a rule may read |
| `rules` | the rules and their order |
| `evaluator` | asks rules in order |
| `routing` | asks the rules of channels and contact points |
| `verdict` | the answers of a rule |

**From verdicts to effects.** A handler writes outcomes, messages and timers into a `Decision`.

| module | what it does |
|---|---|
| `decider` | asks the rules of the whole, and calls the handler of their verdict |
| `admission` | the handler where none objects: messages, later steps, counters |
| `holding` | the handler of `Hold` |
| `own_keys` | dedup keys of the catalog: remembered, or given back |
| `subjects` | writes outcomes, messages and timers of events, messages and what is held |
| `endings` | writes final outcomes and dead letters |
| `timers` | the kinds of timers and their payloads |
| `effects` | the effects of one decision, which an operator applies as a whole |

**The record of a user.** It is all that is remembered. Most of its fields are packed bytes.

| module | what it does |
|---|---|
| `user_state` | the record |
| `profiles` | takes a profile into it |
| `dedup` | recent keys, with the origin of each |
| `limits` | what was admitted in a window |
| `engagement` | how far recent notifications got with the user |
| `failures` | what was counted in limits and not sent |
| `receipts` | the kinds of receipts, and the blocks they set |
| `opt_outs` | what a receipt has switched off |

**Words of the catalog and of events.** What rules and handlers know of each.

| module | what it is about |
|---|---|
| `preferences` | preferences and their defaults |
| `asking` | an event that asks for channels |
| `asked_time` | `at` |
| `open_hours` | when snooze, quiet hours and windows let something leave |
| `digests` | `digest`: the open digest that an item joins |
| `due_digest` | `digest`: what a due one becomes |
| `limit_queue` | `overflow: hold`: the queue of a full limit |
| `slots` | the places that a notification takes in its limits |
| `escalation` | `escalate` and `sequence`: later steps |
| `needless` | later steps and channels that a receipt makes needless |
| `failover` | `failover_after`: another account sends a message that has no receipt |
| `replacing` | `collapse_key` |
| `cancelling` | `cancel_key` and cancel events, for what is held |
| `called_back` | cancel events, for what queues for a provider |
| `replaying` | events that are replayed |
| `waiting` | events that wait for a profile |
| `faulty` | tenants whose files have mistakes |
| `retiming` | what is held when a profile moves its time |
| `suppressions` | addresses that are blocked for all users |
| `corrections` | receipts that correct profiles |
| `profile_audit` | audit records of profiles |

**Clocks.** Right where a clock is changed.

| module | what it finds |
|---|---|
| `daily_span` | whether a moment lies in a span of the day, and when it ends |
| `local_time` | the moment of a local time |
| `clock_times` | the next moment at which a clock shows a time |
| `periods` | the calendar period around a moment |

**For many users.** These decide about no user; what they raise are events of users.

| module | what it does |
|---|---|
| `fan_out` | an event of a topic, for its subscribers |
| `broadcasts` | a broadcast as a whole |
| `broadcast_parts` | the part of one key group in a broadcast |
| `broadcast_lists` | the list of users of a broadcast |
| `recurring` | the occurrences of a schedule |
"""
