"""Orders to print the faces of cards, and their match with the chip."""

import sqlalchemy as sa
from alembic import op

from uec.store.guards import create_guards, drop_guards

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None

GUARDED = ('print_order',)


def upgrade() -> None:
    op.create_table('print_order',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('card_id', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('ordered_by', sa.Integer(), nullable=True, comment='who ordered it'),
    sa.Column('ordered_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('printed_at', sa.DateTime(timezone=True), nullable=True, comment='when it last went to the printer'),
    sa.Column('matched_by', sa.Integer(), nullable=True, comment='who compared the numbers'),
    sa.Column('matched_at', sa.DateTime(timezone=True), nullable=True, comment='when print and chip were seen to have one number'),
    sa.Column('reason', sa.String(length=500), nullable=True, comment='why it was spoiled'),
    sa.CheckConstraint("state IN ('ORDERED', 'PRINTED', 'MATCHED', 'SPOILED')", name=op.f('ck_print_order_state')),
    sa.ForeignKeyConstraint(['card_id'], ['card.id'], name=op.f('fk_print_order_card_id')),
    sa.ForeignKeyConstraint(['matched_by'], ['staff.id'], name=op.f('fk_print_order_matched_by')),
    sa.ForeignKeyConstraint(['ordered_by'], ['staff.id'], name=op.f('fk_print_order_ordered_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_print_order'))
    )
    op.create_index(op.f('ix_print_order_card_id'), 'print_order', ['card_id'], unique=False)
    op.create_index('uq_print_order_standing', 'print_order', ['card_id'], unique=True, sqlite_where=sa.text("state <> 'SPOILED'"), postgresql_where=sa.text("state <> 'SPOILED'"))
    for statement in create_guards(op.get_bind().dialect.name, GUARDED):
        op.execute(sa.text(statement.replace(':', chr(92) + ':')))


def downgrade() -> None:
    for statement in drop_guards(op.get_bind().dialect.name, GUARDED):
        op.execute(statement)
    op.drop_table('print_order')
