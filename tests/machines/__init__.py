"""Machines to test against: in this process (`async with`) or in one of their own, to be frozen and killed."""
