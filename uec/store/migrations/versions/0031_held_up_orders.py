"""Of an order to a bureau it is kept what held its file or its answer up when it was tried last."""

import sqlalchemy as sa
from alembic import op

revision = '0031'
down_revision = '0030'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('bureau_order', sa.Column('held_up_by', sa.String(length=60), nullable=True, comment='what keeps its file or answer from being made'))
    op.add_column('bureau_order', sa.Column('held_up_why', sa.String(length=500), nullable=True, comment='the same in a sentence'))


def downgrade() -> None:
    op.drop_column('bureau_order', 'held_up_why')
    op.drop_column('bureau_order', 'held_up_by')
