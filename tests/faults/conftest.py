"""The short folder in which the hosts of these tests live."""

from tests.mesh.conftest import root

__all__ = ["root"]
