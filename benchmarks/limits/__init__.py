"""What a machine could do at most, and how near a variant comes to it."""
