"""The ledger of blanks moves a run of entries of one statement as one range, on PostgreSQL."""

from alembic import op

from uec.store.stock_guards import renew_stock_guards

revision = '0034'
down_revision = '0033'
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in renew_stock_guards(op.get_bind().dialect.name):
        op.execute(statement)


def downgrade() -> None:
    """The trigger of the ledger is today's at every revision."""
