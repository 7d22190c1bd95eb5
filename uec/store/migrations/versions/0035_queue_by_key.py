"""Jobs of the queue are found by their key: whoever hands work over looked through all that had ended within a week."""

from alembic import op

revision = '0035'
down_revision = '0034'
branch_labels = None
depends_on = None

BY_KEY = 'CREATE INDEX procrastinate_jobs_by_key ON procrastinate.procrastinate_jobs (queueing_lock)'


def upgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        op.execute(BY_KEY)


def downgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        op.execute('DROP INDEX procrastinate.procrastinate_jobs_by_key')
