"""Everything that touches disk: shards, the manifest that lists them, and their verification."""
