"""The recorder: what the exchange said, as it was said, in files that can be played again."""
