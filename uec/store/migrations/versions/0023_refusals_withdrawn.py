"""Refusals that were taken back."""

import sqlalchemy as sa
from alembic import op

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('refusal', sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True, comment='when it was taken back; empty: it stands'))
    op.add_column('refusal', sa.Column('withdrawn_by', sa.String(length=80), nullable=True, comment='who took it back, like staff:7'))
    op.add_column('refusal', sa.Column('withdrawn_for', sa.Text(), nullable=True, comment='why it was taken back'))


def downgrade() -> None:
    op.drop_column('refusal', 'withdrawn_for')
    op.drop_column('refusal', 'withdrawn_by')
    op.drop_column('refusal', 'withdrawn_at')
