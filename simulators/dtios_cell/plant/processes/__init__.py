"""How things come out: the processes, each with its own model and no idea of who asks for it."""
