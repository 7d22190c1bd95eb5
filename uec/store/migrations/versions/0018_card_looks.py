"""Cards of a line that somebody looks at by sampling plan."""

import sqlalchemy as sa
from alembic import op

from uec.store.guards import create_guards, drop_guards

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('card_look',
    sa.Column('card_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('batch_id', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('drawn_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('looked_by', sa.Integer(), nullable=True, comment='not who made the card'),
    sa.Column('looked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('defect', sa.String(length=20), nullable=True, comment='what is wrong with a bad one'),
    sa.Column('note', sa.String(length=500), nullable=True, comment="in the looker's words"),
    sa.CheckConstraint("defect IN ('PRINT', 'PHOTO', 'TEXT', 'SURFACE', 'CHIP')", name=op.f('ck_card_look_defect')),
    sa.CheckConstraint("state IN ('WANTED', 'GOOD', 'BAD')", name=op.f('ck_card_look_state')),
    sa.ForeignKeyConstraint(['batch_id'], ['batch.id'], name=op.f('fk_card_look_batch_id')),
    sa.ForeignKeyConstraint(['card_id'], ['card.id'], name=op.f('fk_card_look_card_id')),
    sa.ForeignKeyConstraint(['looked_by'], ['staff.id'], name=op.f('fk_card_look_looked_by')),
    sa.PrimaryKeyConstraint('card_id', name=op.f('pk_card_look'))
    )
    op.create_index(op.f('ix_card_look_batch_id'), 'card_look', ['batch_id'], unique=False)
    op.create_index(op.f('ix_card_look_looked_by'), 'card_look', ['looked_by'], unique=False)
    for statement in create_guards(op.get_bind().dialect.name, ('card_look',)):
        op.execute(statement)


def downgrade() -> None:
    for statement in drop_guards(op.get_bind().dialect.name, ('card_look',)):
        op.execute(statement)
    op.drop_table('card_look')
