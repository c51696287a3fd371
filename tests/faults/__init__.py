"""What a plant does to a connection, on purpose: a proxy that breaks TCP, servers that misbehave, and the truth beside them."""
