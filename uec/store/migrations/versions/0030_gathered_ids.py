"""Ids are gathered into arrays by several processes: PostgreSQL's own `array_agg` is done by one before version 16."""

from alembic import op

revision = '0030'
down_revision = '0029'
branch_labels = None
depends_on = None

GATHERED = (
    "CREATE AGGREGATE gathered_ids(integer) "
    "(SFUNC = array_append, STYPE = integer[], COMBINEFUNC = array_cat, INITCOND = '{}', PARALLEL = SAFE)"
)


def upgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        op.execute(GATHERED)


def downgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        op.execute('DROP AGGREGATE gathered_ids(integer)')
