"""A file of a list made by a worker node, a process of its own that takes its work from the queue."""

from pathlib import Path

import pytest

from tests.integration.services.test_export_jobs import WORDING
from tests.integration.services.test_worker_nodes import nodes_on
from tests.support import worker_node
from tests.support.office import POLICY
from uec.domain.exports import ExportState
from uec.services import export_jobs
from uec.store.tables import ExportFile

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


def test_a_node_makes_what_somebody_asked_for(postgres_url: str, tmp_path: Path) -> None:
    with nodes_on(postgres_url, tmp_path) as nodes:
        office = nodes.office
        office.approve_applicants(1, 2, 3)
        with office.sessions() as session:
            wanted = export_jobs.ask(
                session, "applications", filters={"state": "APPROVED"}, form="csv", wording=WORDING,
                actor=office.staff.officer, policy=POLICY, now=office.clock(),
            )  # fmt: skip

        def row() -> ExportFile:
            with office.sessions() as session:
                return session.get_one(ExportFile, wanted)

        node = nodes.start()
        try:
            nodes.until(lambda: row().state not in export_jobs.OPEN)
        finally:
            worker_node.end(node)
        made = row()
        assert (made.state, made.rows, made.attempt) == (ExportState.READY, 3, 1)
        assert b"".join(export_jobs.content(office.sessions, made)).count(b"\r\n") == 4
