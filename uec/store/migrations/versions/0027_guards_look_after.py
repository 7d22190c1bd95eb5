"""Guards of states look at a row when it has changed: PostgreSQL then locks and logs it once and not twice."""

from alembic import op

from uec.domain.lifecycle import MACHINES
from uec.store.guards import create_guards, drop_guards

revision = '0027'
down_revision = '0026'
branch_labels = None
depends_on = None


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        for statement in (*drop_guards(dialect, MACHINES), *create_guards(dialect, MACHINES)):
            op.execute(statement)


def downgrade() -> None:
    """What they refuse is the same: an earlier version does with these."""
