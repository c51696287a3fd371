"""Reading one profile from YAML, with errors that name the file and the line."""

from pathlib import Path

from dtios.mapping.profiles.profile import Profile
from dtios.mapping.yamlfile import load_yaml_model, parse_yaml_model

__all__ = ["parse_profile", "read_profile"]


def read_profile(path: Path) -> Profile:
    """Raises ConfigurationError with `where` = `file:line`."""
    return load_yaml_model(path, Profile)


def parse_profile(text: str, name: str) -> Profile:
    """`name` stands for the file in errors."""
    return parse_yaml_model(text, Profile, name)
