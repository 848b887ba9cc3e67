"""The training pages: they translate and decide nothing."""
