"""Indexes over cards that do not notice when a card is prepared, and pages with room for its new version."""

import sqlalchemy as sa
from alembic import op

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None

LIVE = "state NOT IN ('SPOILED', 'DESTROYED')"
CURRENT = "state IN ('PLANNED', 'PREPARED', 'WRITING', 'PERSONALISED', 'ACTIVE', 'SUSPENDED')"
STAGE = "CASE WHEN state IN ('PLANNED', 'PREPARED') THEN 'UNWRITTEN' ELSE state END"


def upgrade() -> None:
    stored = True if op.get_bind().dialect.name == 'postgresql' else None  # SQLite cannot add a stored one
    if stored:
        # Before the columns: they have the table written anew, half a page at a time.
        op.execute('ALTER TABLE card SET (fillfactor = 50)')
    op.drop_index(op.f('ix_card_state'), table_name='card')
    op.drop_index('uq_card_current_application', table_name='card')
    op.drop_index('uq_card_live_chip', table_name='card')
    op.add_column('card', sa.Column('stage', sa.String(length=20), sa.Computed(STAGE, persisted=stored), nullable=False, comment='state as it is looked for; preparing does not change it'))
    op.add_column('card', sa.Column('is_live', sa.Boolean(), sa.Computed(LIVE, persisted=stored), nullable=False, comment='whether its chip is its own'))
    op.add_column('card', sa.Column('is_current', sa.Boolean(), sa.Computed(CURRENT, persisted=stored), nullable=False, comment='whether its application has its card in it'))
    op.create_index(op.f('ix_card_stage'), 'card', ['stage'], unique=False)
    op.create_index('uq_card_current_application', 'card', ['application_id'], unique=True, sqlite_where=sa.text('is_current'), postgresql_where=sa.text('is_current'))
    op.create_index('uq_card_live_chip', 'card', ['chip_id'], unique=True, sqlite_where=sa.text('is_live'), postgresql_where=sa.text('is_live'))


def downgrade() -> None:
    for index in ('ix_card_stage', 'uq_card_current_application', 'uq_card_live_chip'):
        op.drop_index(index, table_name='card')
    for column in ('is_current', 'is_live', 'stage'):
        op.drop_column('card', column)
    op.create_index(op.f('ix_card_state'), 'card', ['state'], unique=False)
    op.create_index('uq_card_current_application', 'card', ['application_id'], unique=True, sqlite_where=sa.text(CURRENT), postgresql_where=sa.text(CURRENT))
    op.create_index('uq_card_live_chip', 'card', ['chip_id'], unique=True, sqlite_where=sa.text(LIVE), postgresql_where=sa.text(LIVE))
    if op.get_bind().dialect.name == 'postgresql':
        op.execute('ALTER TABLE card RESET (fillfactor)')
