"""The exchange's dialect: its frames, its calls, what they cost, how they are signed."""
