"""Carry a plan out, change by change, written down as it goes; what a person sees is told by the caller."""

from collections.abc import Callable

from agentmesh.config import Paths
from agentmesh.errors import InstallFailed
from agentmesh.install.change import AnyChange, Plan, Run
from agentmesh.install.manifest import Manifest
from agentmesh.install.perform import perform
from agentmesh.install.plan import manifest_path


def install(plan: Plan, manifest: Manifest, tell: Callable[[AnyChange], None]) -> None:
    """Carry out a plan of install; each change is told when it is made. Raises InstallFailed, BadConfiguration."""
    for change in plan.changes:
        manifest.add(change)
        perform(change)
        tell(change)


def uninstall(plan: Plan, tell: Callable[[AnyChange], None]) -> list[InstallFailed]:
    """Carry out a plan of uninstall; returns what failed, and could be passed over. Raises InstallFailed.

    The notes of install go last: what has been undone when it is cut short is seen by looking, and isn't undone again.
    """
    failures = []
    for change in plan.changes:
        try:
            perform(change)
        except InstallFailed as error:
            if not (isinstance(change, Run) and change.optional):
                raise
            failures.append(error)
        else:
            tell(change)
    return failures


def manifest_of(paths: Paths) -> Manifest:
    """Return what install has done in a home. Raises BadConfiguration."""
    return Manifest(manifest_path(paths))
