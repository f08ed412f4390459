"""The records that flow through Tocsin and the content that people write: types only, no behaviour."""
