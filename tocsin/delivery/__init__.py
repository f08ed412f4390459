"""From an admitted message to a provider's answer: queue, breaker, retry, ledger, runtime."""
