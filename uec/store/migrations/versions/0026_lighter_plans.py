"""Slots and batches of a plan name points, and slots their plan, without keys of their own.

Looking the keys up row by row was half of what writing a plan cost.
"""

from alembic import op

revision = '0026'
down_revision = '0025'
branch_labels = None
depends_on = None

KEYS = (('emission_batch', 'point_id'), ('emission_slot', 'point_id'), ('emission_slot', 'plan_id'))
REFERRED = {'point_id': 'issuance_point', 'plan_id': 'emission_plan'}


def upgrade() -> None:
    for table in ('emission_batch', 'emission_slot'):
        op.drop_index(f'ix_{table}_point_id', table_name=table)
    for table, column in KEYS:
        with op.batch_alter_table(table) as plan:
            plan.drop_constraint(f'fk_{table}_{column}', type_='foreignkey')


def downgrade() -> None:
    for table, column in KEYS:
        with op.batch_alter_table(table) as plan:
            plan.create_foreign_key(f'fk_{table}_{column}', REFERRED[column], [column], ['id'])
    for table in ('emission_batch', 'emission_slot'):
        op.create_index(f'ix_{table}_point_id', table, ['point_id'], unique=False)
