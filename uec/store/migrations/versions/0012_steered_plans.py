"""What people steer the plan by: planning facts, proposals of scenarios, moved promises; a batch's line and courier."""

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('emission_plan', sa.Column('frozen_until', sa.Date(), nullable=True, comment='last day whose batches were cut; empty: none'))
    op.add_column('emission_plan', sa.Column('archive', sa.LargeBinary(), nullable=True, comment='counts by day, to plan anew from; empty: forgotten'))
    op.add_column('batch', sa.Column('line', sa.String(length=40), nullable=True, comment='code of the line; empty: any station'))
    op.add_column('batch', sa.Column('departs_on', sa.Date(), nullable=True, comment="the courier's day; empty: not planned"))
    op.create_index(op.f('ix_batch_line'), 'batch', ['line'], unique=False)
    op.add_column('card', sa.Column('promised_on', sa.Date(), nullable=True, comment='day from which it can be collected, as planned'))
    op.create_table('planning_facts',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('set_at', sa.DateTime(timezone=True), nullable=False, comment='when it was set'),
    sa.Column('set_by', sa.Integer(), nullable=True, comment='who set it'),
    sa.Column('reason', sa.Text(), nullable=False, comment='what happened'),
    sa.Column('facts', sa.JSON(), nullable=False, comment='the table, as in `uec plan facts`'),
    sa.Column('scenario_id', sa.Integer(), nullable=True, comment='scenario it came from'),
    sa.ForeignKeyConstraint(['scenario_id'], ['plan_scenario.id'], name=op.f('fk_planning_facts_scenario_id')),
    sa.ForeignKeyConstraint(['set_by'], ['staff.id'], name=op.f('fk_planning_facts_set_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_planning_facts'))
    )
    op.create_index(op.f('ix_planning_facts_scenario_id'), 'planning_facts', ['scenario_id'], unique=False)
    op.create_index(op.f('ix_planning_facts_set_by'), 'planning_facts', ['set_by'], unique=False)
    op.create_table('plan_proposal',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('scenario_id', sa.Integer(), nullable=False),
    sa.Column('proposed_by', sa.Integer(), nullable=True, comment='who put it forward'),
    sa.Column('proposed_at', sa.DateTime(timezone=True), nullable=False, comment='when'),
    sa.Column('approved_by', sa.Integer(), nullable=True, comment='another person'),
    sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True, comment='when it became the plan'),
    sa.ForeignKeyConstraint(['approved_by'], ['staff.id'], name=op.f('fk_plan_proposal_approved_by')),
    sa.ForeignKeyConstraint(['proposed_by'], ['staff.id'], name=op.f('fk_plan_proposal_proposed_by')),
    sa.ForeignKeyConstraint(['scenario_id'], ['plan_scenario.id'], name=op.f('fk_plan_proposal_scenario_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_plan_proposal')),
    sa.UniqueConstraint('scenario_id', name=op.f('uq_plan_proposal_scenario_id'))
    )
    op.create_index(op.f('ix_plan_proposal_approved_by'), 'plan_proposal', ['approved_by'], unique=False)
    op.create_index(op.f('ix_plan_proposal_proposed_by'), 'plan_proposal', ['proposed_by'], unique=False)
    op.create_table('promise_move',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('application_id', sa.Integer(), nullable=False),
    sa.Column('plan_id', sa.Integer(), nullable=True, comment='plan it moved in'),
    sa.Column('was', sa.Date(), nullable=False, comment='the day that was promised'),
    sa.Column('now', sa.Date(), nullable=True, comment='the day promised now; empty: not within the plan'),
    sa.Column('listed_at', sa.DateTime(timezone=True), nullable=False, comment='when it moved first'),
    sa.Column('told_at', sa.DateTime(timezone=True), nullable=True, comment='when the message was queued; empty: not yet'),
    sa.ForeignKeyConstraint(['application_id'], ['application.id'], name=op.f('fk_promise_move_application_id')),
    sa.ForeignKeyConstraint(['plan_id'], ['emission_plan.id'], name=op.f('fk_promise_move_plan_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_promise_move'))
    )
    op.create_index('ix_promise_move_told_at', 'promise_move', ['told_at'], unique=False)
    op.create_index(op.f('ix_promise_move_plan_id'), 'promise_move', ['plan_id'], unique=False)
    op.create_index('uq_promise_move_untold', 'promise_move', ['application_id'], unique=True, sqlite_where=sa.text('told_at IS NULL'), postgresql_where=sa.text('told_at IS NULL'))


def downgrade() -> None:
    op.drop_table('promise_move')
    op.drop_table('plan_proposal')
    op.drop_table('planning_facts')
    op.drop_column('card', 'promised_on')
    op.drop_index(op.f('ix_batch_line'), table_name='batch')
    op.drop_column('batch', 'departs_on')
    op.drop_column('batch', 'line')
    op.drop_column('emission_plan', 'archive')
    op.drop_column('emission_plan', 'frozen_until')
