"""Guards of states look at a row when it has changed: PostgreSQL then locks and logs it once and not twice."""

from alembic import op

from uec.store.guards import create_guards, drop_guards

revision = '0027'
down_revision = '0026'
branch_labels = None
depends_on = None

# The machines there were then: later ones get their guards from the migrations that make their tables.
MACHINES = (
    'application', 'card', 'batch', 'card_operation', 'cohort', 'certificate', 'stock_transfer', 'stock_shift',
    'stock_destruction', 'quarantine', 'twin_case', 'print_order', 'card_look', 'policy_change', 'public_notice',
    'bureau', 'bureau_certificate', 'bureau_order', 'bureau_card', 'bureau_consignment',
)


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        for statement in (*drop_guards(dialect, MACHINES), *create_guards(dialect, MACHINES)):
            op.execute(statement)


def downgrade() -> None:
    """What they refuse is the same: an earlier version does with these."""
