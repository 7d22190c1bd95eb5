"""Of a run it is kept whether it failed, how often it was begun and by whom, and who asked to end it."""

import sqlalchemy as sa
from alembic import op

revision = '0032'
down_revision = '0031'
branch_labels = None
depends_on = None

OPEN = sa.text('finished_at IS NULL')


def upgrade() -> None:
    op.add_column('scheduled_run', sa.Column('failed', sa.Boolean(), server_default=sa.false(), nullable=False, comment='it was not done, or was ended'))
    op.add_column('scheduled_run', sa.Column('tries', sa.Integer(), server_default='0', nullable=False, comment='how often it was begun'))
    op.add_column('scheduled_run', sa.Column('worker', sa.String(length=80), nullable=True, comment='machine and process that began it last'))
    op.add_column('scheduled_run', sa.Column('end_asked_by', sa.String(length=80), nullable=True, comment='who asked to end it'))
    op.execute("UPDATE scheduled_run SET failed = true WHERE outcome LIKE 'failed:%'")
    op.create_index('ix_scheduled_run_open', 'scheduled_run', ['job', 'due_at'], unique=False, postgresql_where=OPEN, sqlite_where=OPEN)
    op.create_index('ix_scheduled_run_failed', 'scheduled_run', ['job', 'due_at'], unique=False, postgresql_where=sa.text('failed'), sqlite_where=sa.text('failed = 1'))


def downgrade() -> None:
    op.drop_index('ix_scheduled_run_failed', table_name='scheduled_run')
    op.drop_index('ix_scheduled_run_open', table_name='scheduled_run')
    op.drop_column('scheduled_run', 'end_asked_by')
    op.drop_column('scheduled_run', 'worker')
    op.drop_column('scheduled_run', 'tries')
    op.drop_column('scheduled_run', 'failed')
