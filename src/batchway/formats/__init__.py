"""One file a dialect, and a table of them. No I/O."""
