"""Moved promises and applications carry fewer keys and indexes: most of what a plan wrote was entries in those.

Moved promises name application, point and plan without keys of their own, as slots do. Of applications nobody asks by
who took them, who decided or by list, and few replace a card.
"""

import sqlalchemy as sa
from alembic import op

revision = '0029'
down_revision = '0028'
branch_labels = None
depends_on = None

KEYS = {'application_id': 'application', 'point_id': 'issuance_point', 'plan_id': 'emission_plan'}
UNASKED = ('taken_by', 'decided_by', 'cohort_id')
REPLACING = sa.text('replaces_card_id IS NOT NULL')


def upgrade() -> None:
    op.drop_index('ix_promise_move_plan_id', table_name='promise_move')
    with op.batch_alter_table('promise_move') as moves:
        for column in KEYS:
            moves.drop_constraint(f'fk_promise_move_{column}', type_='foreignkey')
    for column in (*UNASKED, 'replaces_card_id'):
        op.drop_index(f'ix_application_{column}', table_name='application')
    op.create_index(
        'ix_application_replaces_card_id',
        'application',
        ['replaces_card_id'],
        postgresql_where=REPLACING,
        sqlite_where=REPLACING,
    )


def downgrade() -> None:
    op.drop_index('ix_application_replaces_card_id', table_name='application')
    for column in (*UNASKED, 'replaces_card_id'):
        op.create_index(f'ix_application_{column}', 'application', [column])
    with op.batch_alter_table('promise_move') as moves:
        for column, referred in KEYS.items():
            moves.create_foreign_key(f'fk_promise_move_{column}', referred, [column], ['id'])
    op.create_index('ix_promise_move_plan_id', 'promise_move', ['plan_id'])
