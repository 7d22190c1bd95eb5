"""The demo's main job in this process, against the office's real processes: vault, worker, register stand-in."""

from pathlib import Path

import pytest

from uec.demo.main_job import run_main_job
from uec.demo.site import Plan, Site
from uec.processes import free_port


@pytest.mark.slow
def test_the_main_job_holds_in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Site, "_start_station", lambda self: None)
    said: list[str] = []
    plan = Plan(tmp_path / "demo", residents=200, seed=3, database_url="", port=free_port())
    with Site(plan, said.append) as site:
        site.prepare()
        site.start()
        report = run_main_job(
            site.settings,
            transport=site.transport,
            tray=site.tray,
            residents_csv=site.residents_csv,
            municipalities_csv=site.municipalities_csv,
            say=said.append,
        )
        site.check()
    assert report.problems == []
    told = report.as_json()
    assert told["transport"] == "in-process"
    assert told["residents"]["imported"] + told["residents"]["rejected"] == told["residents"]["rows"] >= 200
    assert told["cards"]["active"] == 12 and told["cards"]["replaced"] == 1 and told["cards"]["personalised"] == 14
    assert told["applications"]["REJECTED"] == 1 and told["applications"]["CHECKED"] == 2
    assert len(report.try_out) == 5
    assert "altogether" in report.as_text()
