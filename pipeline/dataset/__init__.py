"""The published folder: shards, data card and ledger, written and read."""
