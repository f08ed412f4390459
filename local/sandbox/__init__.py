"""The provider sandbox: one local server that speaks the providers' APIs and shows what recipients got.

It judges strictly (a wrong request gets the provider's own error), takes faults to order, and is the witness
of tests: every accepted call stands in `sent.jsonl` before it is answered.
"""
