"""The published folder: writes and reads shards, index, data card and ledger."""
