"""A promised day that moved knows its point: half a region may be on the list, and its page counts by points."""

import sqlalchemy as sa
from alembic import op

revision = '0025'
down_revision = '0024'
branch_labels = None
depends_on = None

UNTOLD = sa.text('told_at IS NULL')
NEW = {'ix_promise_move_point': ['point_id', 'now', 'was'], 'ix_promise_move_day': ['now', 'id']}
OLD = 'uq_promise_move_untold'


def upgrade() -> None:
    op.add_column('promise_move', sa.Column('point_id', sa.Integer(), nullable=True, comment='where the card is promised'))
    op.execute('UPDATE promise_move SET point_id = (SELECT a.point_id FROM application a WHERE a.id = application_id)')
    op.drop_index('ix_promise_move_told_at', table_name='promise_move')
    op.drop_index(OLD, table_name='promise_move')
    with op.batch_alter_table('promise_move') as moves:
        moves.alter_column('point_id', existing_type=sa.Integer(), nullable=False)
        moves.create_foreign_key(op.f('fk_promise_move_point_id'), 'issuance_point', ['point_id'], ['id'])
    op.create_index(OLD, 'promise_move', ['application_id'], unique=True, sqlite_where=UNTOLD, postgresql_where=UNTOLD)
    for name, columns in NEW.items():
        op.create_index(name, 'promise_move', columns, sqlite_where=UNTOLD, postgresql_where=UNTOLD)


def downgrade() -> None:
    for name in (*NEW, OLD):
        op.drop_index(name, table_name='promise_move')
    with op.batch_alter_table('promise_move') as moves:
        moves.drop_constraint(op.f('fk_promise_move_point_id'), type_='foreignkey')
        moves.drop_column('point_id')
    op.create_index(OLD, 'promise_move', ['application_id'], unique=True, sqlite_where=UNTOLD, postgresql_where=UNTOLD)
    op.create_index('ix_promise_move_told_at', 'promise_move', ['told_at'])
