"""Says whether the whole is ready and, if not, why; restarts what dies; is nobody's parent."""
