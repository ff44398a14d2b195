"""What the answers of counts share: tallies of shards, time in buckets, a test of rates."""
