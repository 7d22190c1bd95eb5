"""A plan's slots hold their people themselves."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None

COLUMNS = 'plan_id, point_id, kind, "first", "count", position, promised_on'


def upgrade() -> None:
    gather = 'array_agg' if postgresql() else 'json_group_array'
    queue = (
        'SELECT p.slot_id, p.application_id FROM emission_place p JOIN application a ON a.id = p.application_id '
        'ORDER BY p.slot_id, a.due_on, a.submitted_at, a.id'
    )
    op.execute(
        f'CREATE TEMPORARY TABLE gathered AS SELECT slot_id, {gather}(application_id) AS people '
        f'FROM ({queue}) q GROUP BY slot_id'
    )
    nobody = "'{}'" if postgresql() else "'[]'"
    op.execute(
        f'CREATE TEMPORARY TABLE kept AS SELECT {COLUMNS}, coalesce(people, {nobody}) AS people '
        'FROM emission_slot LEFT JOIN gathered ON slot_id = id'
    )
    op.drop_table('emission_slot')
    op.drop_table('emission_place')
    people = sa.ARRAY(sa.Integer()).with_variant(sa.JSON(), 'sqlite')
    slots(sa.Column('people', people, nullable=False, comment='ids of applications, in the order of the queue'))
    op.execute(f'INSERT INTO emission_slot ({COLUMNS}, people) SELECT {COLUMNS}, people FROM kept')
    op.execute('DROP TABLE kept')
    op.execute('DROP TABLE gathered')


def downgrade() -> None:
    op.create_table('emission_place',
    sa.Column('plan_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('application_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('slot_id', sa.Integer(), nullable=False, comment='the slot'),
    sa.PrimaryKeyConstraint('plan_id', 'application_id', name=op.f('pk_emission_place'))
    )
    each = 'unnest(s.people) AS e(value)' if postgresql() else 'json_each(s.people) AS e'
    op.execute(
        'INSERT INTO emission_place (plan_id, application_id, slot_id) '
        f'SELECT s.plan_id, e.value, s.id FROM emission_slot s CROSS JOIN {each}'
    )
    op.drop_column('emission_slot', 'people')


def slots(*more: sa.Column[Any]) -> None:
    op.create_table('emission_slot',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('plan_id', sa.Integer(), nullable=False),
    sa.Column('point_id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Integer(), nullable=False, comment='0 remake, 1 clock, 2 cohort'),
    sa.Column('first', sa.Integer(), nullable=False, comment='first place, from 0'),
    sa.Column('count', sa.Integer(), nullable=False, comment='how many places'),
    sa.Column('position', sa.Integer(), nullable=True, comment='batch within the plan; empty: not within the plan'),
    sa.Column('promised_on', sa.Date(), nullable=True, comment='first day it can be collected; empty: after the plan'),
    *more,
    sa.ForeignKeyConstraint(['plan_id'], ['emission_plan.id'], name=op.f('fk_emission_slot_plan_id')),
    sa.ForeignKeyConstraint(['point_id'], ['issuance_point.id'], name=op.f('fk_emission_slot_point_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_emission_slot'))
    )
    op.create_index(op.f('ix_emission_slot_point_id'), 'emission_slot', ['point_id'], unique=False)
    op.create_index('ix_emission_slot_queue', 'emission_slot', ['plan_id', 'point_id', 'kind', 'first'], unique=True)


def postgresql() -> bool:
    return op.get_bind().dialect.name == 'postgresql'
