"""Where workers run: on this machine (the default), or on a cluster by Ray. Both start the same program on the same directory."""
