"""A publisher gives the standard interface to the world above (a broker, a historian, an AAS server)."""

from typing import ClassVar, Literal, TypeVar

from dtios.sdk.app import App
from dtios.sdk.manifest import AppConfig

__all__ = ["Publisher"]

C = TypeVar("C", bound=AppConfig)


class Publisher(App[C]):
    """A plug-in of the group `dtios.publishers`: declared and hosted like an app, and granted to read every machine."""

    kind: ClassVar[Literal["app", "publisher"]] = "publisher"
