"""A simulated robot cell that makes sensor housings in lots of one. So far the pure plant; nothing speaks for it yet."""
