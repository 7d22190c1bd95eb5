"""Hides who is acting: a member of staff, a citizen, or a process of the system; the audit names it."""

from dataclasses import dataclass, field
from typing import Literal

from uec.domain.errors import NotAllowed
from uec.domain.permissions import Permission

ActorKind = Literal["staff", "citizen", "system"]


@dataclass(frozen=True)
class Actor:
    """Who acts. `id` is the staff id, the application number of a citizen, or the name of a process."""

    kind: ActorKind
    id: int | str
    display: str
    permissions: frozenset[Permission] = field(default_factory=frozenset)
    point_id: int | None = None

    def may(self, permission: Permission) -> bool:
        """Tell whether the actor holds the permission."""
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        """Raise `NotAllowed` unless the actor holds the permission."""
        if not self.may(permission):
            raise NotAllowed(
                f"{self.display} lacks the permission {permission}; ask an administrator for a role that has it.",
                permission=permission,
                actor=self.reference,
            )

    @property
    def reference(self) -> str:
        """The name the audit keeps, like `staff:7`."""
        return f"{self.kind}:{self.id}"

    @property
    def staff_id(self) -> int | None:
        """The staff id, or None for a citizen or a process."""
        return self.id if self.kind == "staff" and isinstance(self.id, int) else None


def system_actor(process: str) -> Actor:
    """Return the actor of a process of ours (scheduler, worker, hub): every permission, named in the audit."""
    return Actor("system", process, process, frozenset(Permission))


CITIZEN = Actor("citizen", "web", "citizen")
