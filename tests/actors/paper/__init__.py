"""Stories of the paper exchange."""
