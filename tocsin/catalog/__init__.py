"""Loads, checks and compiles content: notifications, tenants, expressions.

Files become specs, specs are checked, and checked specs are compiled. Decisions read compiled ones only. A
new word of a notification is a field in `spec`, its check, a field in `compiled` and its line in
`compile_notification`.

**Read and check.** All mistakes are found at once, each with file, line and cure.

| module | what it does |
|---|---|
| `loader` | loads a folder: a catalog, or all its mistakes |
| `reading` | reads all files of a folder and checks them against each other |
| `entry_files` | reads the entries of one file |
| `content_files` | names the files that are content, and their version |
| `files` | reads YAML as data that knows its lines |
| `spec` | notifications and tenants as people write them |
| `content_check` | checks names, and fields against each other |
| `sentences` | says what is wrong with a value |
| `close_names` | finds the name that somebody meant |
| `stray_files` | finds files that nobody reads |
| `overlays` | what a tenant has of its own |
| `watch` | loads again when files change |
| `accounts` | checks providers against the accounts that exist |
| `silent_steps` | finds steps that wait for receipts that never come |

**Words.** Each module describes, checks or compiles one.

| module | what it is about |
|---|---|
| `scalars` | durations, times of day, zones, names |
| `times` | when a notification leaves |
| `schedule` | `at` |
| `hours` | hours that exclude each other |
| `limit_spec` | limits as people write them |
| `limit_check` | limits that contradict something |
| `defaults` | default preferences |
| `digests` | `digest` |
| `escalation` | `escalate`, `sequence` and `stop_when_seen` |
| `variants` | arms of an experiment |
| `attachments` | attachments of e-mails |
| `channels` | channels that a tenant declares |
| `segments` | users to whom a broadcast may go |
| `schedules` | recurring schedules |
| `cron` | the times of a cron expression |
| `sms` | how text messages are written |
| `tracking` | opened messages and followed links |
| `webhooks` | endpoints for delivery reports |
| `sources` | topics of other software |

**Expressions.**

| module | what it does |
|---|---|
| `sandbox` | confines what authors write |
| `widths` | bounds how wide they may make a text |
| `expressions` | compiles an expression |
| `expression_check` | finds those that do not compile |
| `expression_words` | finds words that can never be right |
| `plain_expressions` | compiles plain ones to Python |
| `plain_matching` | fuses those of a notification into one function |

**Compiled.**

| module | what it does |
|---|---|
| `compile` | compiles the notifications of a tenant |
| `compile_notification` | compiles one notification |
| `compile_channel` | compiles a channel of it |
| `compile_input` | what a notification is compiled from |
| `dedup_scopes` | which notifications share dedup keys, and for how long |
| `blanks` | the message and the outcome that those of a notification are copied from |
| `compiled` | what decisions read |
| `caps` | compiled limits and their counters |
| `counting` | which limits and counters a notification meets |
| `counted` | which counters counted a message, as one number |
| `catalog` | finds the notifications for an event |
| `matching` | matches an event with a notification |
"""
