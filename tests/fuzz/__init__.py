"""Answers that no server should give, and messages that no machine should send. `values`, `client` and `mqtt` say what is fed
with them, `hunt` looks for new ones (atheris), `corpus` keeps what was found: each file is an input, named by its content."""
