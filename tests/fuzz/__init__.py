"""Answers that no server should give. `targets` says what is fed with them, `hunt` looks for new ones (atheris), `corpus` keeps
what was found: each file is an input, named by its content."""
