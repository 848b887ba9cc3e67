"""Where the shards of a synthesis are worked off: in processes of this machine, or by Ray."""
