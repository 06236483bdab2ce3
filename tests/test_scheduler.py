"""What is scheduled, and how often; that it is done once a tick is in tests/infra/test_job_queue.py."""

from gql_trader.cli.worker import _queues
from gql_trader.config import Settings

HOURLY = (
    "accounts.jobs.forget_ended_api_tokens",
    "accounts.jobs.forget_ended_sessions",
    "automations.jobs.forget_runs",
    "balances.jobs.drop_old_partitions",
    "bots.jobs.forget_signals",
    "market_data.jobs.seal_open_months",
    "notifications.jobs.forget_failed",
    "notifications.jobs.forget_old_notifications",
)
OUTBOXES = ("mail", "notices", "push", "telegram", "webhooks")
SWEEPERS = (
    "backtests.jobs.sweep",
    "bots.jobs.sweep",
    "bots.live.jobs_orders.sweep_sessions",
    "market_data.syncs.jobs.sweep_syncs",
    "optimizations.jobs.sweep",
)


def test_balances_days_retention_and_sweepers_are_scheduled(settings: Settings) -> None:
    specs = _queues(settings.model_copy(update={"sweep_seconds": 3.5}))
    scheduled = [each for spec in specs for each in spec.scheduled]
    assert {each.name: each.seconds for each in scheduled} == {
        "balances.jobs.tick": 60.0,
        "reports.jobs.keep_days": 120.0,
        **dict.fromkeys(HOURLY, 3600.0),
        **{f"notifications.jobs.sweep_{lane}": 5.0 for lane in OUTBOXES},
        **dict.fromkeys(SWEEPERS, 3.5),
    }
    assert len(scheduled) == 2 + len(HOURLY) + len(OUTBOXES) + len(SWEEPERS)
