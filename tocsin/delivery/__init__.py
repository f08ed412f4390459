"""From an admitted message to a provider's answer.

Pure: `attempt`, `queue`, `breaker`, `retry`. Beside them: `channel`, `executor`, `ledger`, `runtime`.
"""
