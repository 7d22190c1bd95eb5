"""The queue of batch work on PostgreSQL: Procrastinate's own schema, apart from the tables of the office."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

VERSION = '3.10.0'
DIGEST = 'c70ec4b400a60ad9592787653aae5ae77ae41bf801d56b5bd2712751a07f2009'


def upgrade() -> None:
    if op.get_bind().dialect.name != 'postgresql':
        return
    from procrastinate.schema import SchemaManager

    schema = SchemaManager.get_schema()
    if hashlib.sha256(schema.encode()).hexdigest() != DIGEST:
        raise RuntimeError(f'the queue of this revision is that of procrastinate {VERSION}: install it, migrate, go on')
    op.execute(sa.text('CREATE SCHEMA procrastinate'))
    before = op.get_bind().scalar(sa.text("SELECT current_setting('search_path')"))
    op.execute(sa.text('SET LOCAL search_path = procrastinate'))
    # Many statements at once, with signs that SQLAlchemy would take for parameters.
    op.get_bind().connection.cursor().execute(schema)
    # Whoever calls a function of the queue need not have its schema in the path.
    functions = sa.text("SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'procrastinate'::regnamespace")
    for (function,) in op.get_bind().execute(functions).all():
        op.execute(sa.text(f'ALTER FUNCTION {function} SET search_path = procrastinate, pg_temp'))
    op.get_bind().execute(sa.text("SELECT set_config('search_path', :before, true)"), {'before': before})


def downgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        op.execute(sa.text('DROP SCHEMA procrastinate CASCADE'))
