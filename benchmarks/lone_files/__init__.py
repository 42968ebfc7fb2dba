"""Model files that need no bundle: what they are asked, and how near their answers are."""
