"""A simulated robot cell that makes sensor housings in lots of one. So far its pure parts: the arm, and turning."""
