"""Plans of mass emission, their batches, slots and places, and what-if scenarios."""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('emission_place',
    sa.Column('plan_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('application_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('slot_id', sa.Integer(), nullable=False, comment='the slot'),
    sa.PrimaryKeyConstraint('plan_id', 'application_id', name=op.f('pk_emission_place'))
    )
    op.create_table('emission_plan',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('made_at', sa.DateTime(timezone=True), nullable=False, comment='when it was made'),
    sa.Column('made_by', sa.Integer(), nullable=True, comment='who made it'),
    sa.Column('first_day', sa.Date(), nullable=False, comment='first day planned'),
    sa.Column('last_day', sa.Date(), nullable=False, comment='last day planned'),
    sa.Column('people', sa.Integer(), nullable=False, comment='applications with a place in it'),
    sa.Column('promised', sa.Integer(), nullable=False, comment='of them with a promised day'),
    sa.Column('facts', sa.JSON(), nullable=False, comment='cost, bound, gap, bottlenecks, reliefs, who is late and why'),
    sa.ForeignKeyConstraint(['made_by'], ['staff.id'], name=op.f('fk_emission_plan_made_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_emission_plan'))
    )
    op.create_index(op.f('ix_emission_plan_made_by'), 'emission_plan', ['made_by'], unique=False)
    op.create_table('plan_scenario',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=60), nullable=False, comment='chosen by who ran it'),
    sa.Column('made_at', sa.DateTime(timezone=True), nullable=False, comment='when it was run'),
    sa.Column('made_by', sa.Integer(), nullable=True, comment='who ran it'),
    sa.Column('changes', sa.JSON(), nullable=False, comment='what differs from the region as it is'),
    sa.Column('outcome', sa.JSON(), nullable=False, comment='P50 and P90 by figure, runs, seed'),
    sa.ForeignKeyConstraint(['made_by'], ['staff.id'], name=op.f('fk_plan_scenario_made_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_plan_scenario')),
    sa.UniqueConstraint('name', name=op.f('uq_plan_scenario_name'))
    )
    op.create_index(op.f('ix_plan_scenario_made_by'), 'plan_scenario', ['made_by'], unique=False)
    op.create_table('emission_batch',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('plan_id', sa.Integer(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False, comment='number within the plan, from 0'),
    sa.Column('day', sa.Date(), nullable=False, comment='day of production'),
    sa.Column('line', sa.String(length=40), nullable=False, comment='code of the line'),
    sa.Column('variant', sa.String(length=40), nullable=False, comment='card variant'),
    sa.Column('point_id', sa.Integer(), nullable=False, comment='destination'),
    sa.Column('departs_on', sa.Date(), nullable=True, comment="the courier's day; empty: after the plan"),
    sa.Column('cards', sa.Integer(), nullable=False, comment='how many'),
    sa.ForeignKeyConstraint(['plan_id'], ['emission_plan.id'], name=op.f('fk_emission_batch_plan_id')),
    sa.ForeignKeyConstraint(['point_id'], ['issuance_point.id'], name=op.f('fk_emission_batch_point_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_emission_batch'))
    )
    op.create_index(op.f('ix_emission_batch_plan_id'), 'emission_batch', ['plan_id'], unique=False)
    op.create_index(op.f('ix_emission_batch_point_id'), 'emission_batch', ['point_id'], unique=False)
    op.create_table('emission_slot',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('plan_id', sa.Integer(), nullable=False),
    sa.Column('point_id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Integer(), nullable=False, comment='0 remake, 1 clock, 2 cohort'),
    sa.Column('first', sa.Integer(), nullable=False, comment='first place, from 0'),
    sa.Column('count', sa.Integer(), nullable=False, comment='how many places'),
    sa.Column('position', sa.Integer(), nullable=True, comment='batch within the plan; empty: not within the plan'),
    sa.Column('promised_on', sa.Date(), nullable=True, comment='first day it can be collected; empty: after the plan'),
    sa.ForeignKeyConstraint(['plan_id'], ['emission_plan.id'], name=op.f('fk_emission_slot_plan_id')),
    sa.ForeignKeyConstraint(['point_id'], ['issuance_point.id'], name=op.f('fk_emission_slot_point_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_emission_slot'))
    )
    op.create_index(op.f('ix_emission_slot_point_id'), 'emission_slot', ['point_id'], unique=False)
    op.create_index('ix_emission_slot_queue', 'emission_slot', ['plan_id', 'point_id', 'kind', 'first'], unique=True)


def downgrade() -> None:
    op.drop_table('plan_scenario')
    op.drop_table('emission_place')
    op.drop_table('emission_slot')
    op.drop_table('emission_batch')
    op.drop_table('emission_plan')
