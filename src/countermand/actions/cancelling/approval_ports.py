"""Protocols that approvals need, and `storage` implements."""

from collections.abc import Sequence
from typing import Protocol

from countermand.domain.cancelling.approval import Approval, ApprovalId, StaffChange


class ApprovalReading(Protocol):
    """Reads approvals."""

    async def approval(self, approval_id: ApprovalId) -> Approval | None:
        """Return the approval with this id, or None."""
        ...


class StaffChanges(Protocol):
    """Reads who added or changed whom."""

    async def last_staff_change(self) -> int:
        """Return the number of the last change of a person; 0 if there was none."""
        ...

    async def staff_changes_after(self, number: int) -> Sequence[StaffChange]:
        """Return the changes of persons with a larger number."""
        ...


class ApprovalWriting(ApprovalReading, StaffChanges, Protocol):
    """Writes approvals. The order is locked."""

    async def insert_approval(self, approval: Approval) -> None:
        """Add an approval."""
        ...

    async def end_approval(self, approval: Approval) -> None:
        """Write an approval's state, when it ended, by whom, and what differed. The rest stays as it is stored."""
        ...
