"""What happens in the machines: no sockets, no clock of its own, one seeded stream of chance for each station."""
