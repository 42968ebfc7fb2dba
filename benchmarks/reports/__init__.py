"""A report for people: tables, plots, and the files they are written to."""
