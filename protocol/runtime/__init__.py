"""The only I/O of the ground: sockets, clocks, files and processes."""
