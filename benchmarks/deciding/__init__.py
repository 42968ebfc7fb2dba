"""What a report decides: which variant to ship, and whether gates are kept."""
