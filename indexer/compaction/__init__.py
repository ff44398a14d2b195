"""How shards are compacted: what is due, what is kept, and how it is written."""
