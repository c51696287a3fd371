"""DTI-OS: the digital connector of the factory."""

__version__ = "0.1.0"
