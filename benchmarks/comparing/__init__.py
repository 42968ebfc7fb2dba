"""Comparing designs: each trained with several seeds, exported and benchmarked, on this machine or a Ray cluster."""
