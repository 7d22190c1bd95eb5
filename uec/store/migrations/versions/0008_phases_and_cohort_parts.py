"""Dated changes of the policy, public notices, choices of a bank; the members of a list as arrays of ids."""

import sqlalchemy as sa
from alembic import op

from uec.store.guards import create_guards, drop_guards

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None

GUARDED = ('policy_change', 'public_notice')


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    op.create_table('policy_change',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('valid_from', sa.Date(), nullable=False, comment='first day'),
    sa.Column('rules', sa.JSON(), nullable=False, comment='names of the policy and their new values'),
    sa.Column('act', sa.Text(), nullable=False, comment='the act or order behind it'),
    sa.Column('effects', sa.JSON(), nullable=False, comment='what it moves, as shown to who confirms'),
    sa.Column('proposed_by', sa.Integer(), nullable=True, comment='who proposed it'),
    sa.Column('proposed_at', sa.DateTime(timezone=True), nullable=False, comment='when'),
    sa.Column('decided_by', sa.Integer(), nullable=True, comment='another person'),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True, comment='when it was confirmed or withdrawn'),
    sa.CheckConstraint("state IN ('PROPOSED', 'CONFIRMED', 'WITHDRAWN')", name=op.f('ck_policy_change_state')),
    sa.ForeignKeyConstraint(['decided_by'], ['staff.id'], name=op.f('fk_policy_change_decided_by')),
    sa.ForeignKeyConstraint(['proposed_by'], ['staff.id'], name=op.f('fk_policy_change_proposed_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_policy_change'))
    )
    op.create_index(op.f('ix_policy_change_decided_by'), 'policy_change', ['decided_by'], unique=False)
    op.create_index(op.f('ix_policy_change_proposed_by'), 'policy_change', ['proposed_by'], unique=False)
    op.create_index(op.f('ix_policy_change_state'), 'policy_change', ['state'], unique=False)
    op.create_table('public_notice',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('text', sa.Text(), nullable=False, comment='terms, order of delivery, rights'),
    sa.Column('places', sa.JSON(), nullable=False, comment='where it is published'),
    sa.Column('banks', sa.JSON(), nullable=False, comment='banks to choose from; the first is that of the tender'),
    sa.Column('published_on', sa.Date(), nullable=False, comment='day of publication'),
    sa.Column('refusal_until', sa.Date(), nullable=False, comment='last day to refuse'),
    sa.Column('bank_until', sa.Date(), nullable=False, comment='last day to choose a bank'),
    sa.Column('proposed_by', sa.Integer(), nullable=True, comment='who proposed it'),
    sa.Column('proposed_at', sa.DateTime(timezone=True), nullable=False, comment='when'),
    sa.Column('decided_by', sa.Integer(), nullable=True, comment='another person'),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True, comment='when it was confirmed or withdrawn'),
    sa.CheckConstraint("state IN ('PROPOSED', 'CONFIRMED', 'WITHDRAWN')", name=op.f('ck_public_notice_state')),
    sa.ForeignKeyConstraint(['decided_by'], ['staff.id'], name=op.f('fk_public_notice_decided_by')),
    sa.ForeignKeyConstraint(['proposed_by'], ['staff.id'], name=op.f('fk_public_notice_proposed_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_public_notice'))
    )
    op.create_index(op.f('ix_public_notice_decided_by'), 'public_notice', ['decided_by'], unique=False)
    op.create_index(op.f('ix_public_notice_proposed_by'), 'public_notice', ['proposed_by'], unique=False)
    op.create_index(op.f('ix_public_notice_state'), 'public_notice', ['state'], unique=False)
    op.create_table('bank_choice',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('number', sa.String(length=30), nullable=False, comment='number of the confirmation'),
    sa.Column('snils', sa.String(length=11), nullable=False, comment='11 digits'),
    sa.Column('bank', sa.String(length=120), nullable=False, comment='one of the notice'),
    sa.Column('channel', sa.String(length=20), nullable=False, comment='how it came: web, window, post...'),
    sa.Column('notice_id', sa.Integer(), nullable=False, comment='the notice'),
    sa.Column('filed_at', sa.DateTime(timezone=True), nullable=False, comment='when it was filed'),
    sa.ForeignKeyConstraint(['notice_id'], ['public_notice.id'], name=op.f('fk_bank_choice_notice_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bank_choice')),
    sa.UniqueConstraint('number', name=op.f('uq_bank_choice_number'))
    )
    op.create_index(op.f('ix_bank_choice_notice_id'), 'bank_choice', ['notice_id'], unique=False)
    op.create_index('ix_bank_choice_snils_id', 'bank_choice', ['snils', 'id'], unique=False)
    op.create_table('cohort_part',
    sa.Column('cohort_id', sa.Integer(), nullable=False),
    sa.Column('block', sa.Integer(), autoincrement=False, nullable=False, comment='id of the resident / 65536'),
    sa.Column('oktmo', sa.String(length=8), nullable=False, comment='municipality, 8 digits'),
    sa.Column('band', sa.String(length=8), nullable=False, comment='age in full years, like 18-34'),
    sa.Column('sex', sa.String(length=1), nullable=False, comment='M or F'),
    sa.Column('count', sa.Integer(), nullable=False, comment='how many'),
    sa.Column('members', sa.ARRAY(sa.Integer()).with_variant(sa.JSON(), 'sqlite'), nullable=False, comment='ids of the residents'),
    sa.ForeignKeyConstraint(['cohort_id'], ['cohort.id'], name=op.f('fk_cohort_part_cohort_id')),
    sa.PrimaryKeyConstraint('cohort_id', 'block', 'oktmo', 'band', 'sex', name=op.f('pk_cohort_part'))
    )
    op.create_index('ix_cohort_part_cohort_id_oktmo_block', 'cohort_part', ['cohort_id', 'oktmo', 'block'], unique=False)
    _gather(dialect)
    op.drop_index(op.f('ix_cohort_member_resident_id'), table_name='cohort_member')
    op.drop_table('cohort_member')
    op.drop_index(op.f('ix_resident_oktmo'), table_name='resident')
    op.create_index('ix_resident_oktmo_id', 'resident', ['oktmo', 'id'], unique=False)
    for statement in create_guards(dialect, GUARDED):
        op.execute(statement)


def _gather(dialect: str) -> None:
    """One row a kind from one a member."""
    gather = 'array_agg' if dialect == 'postgresql' else 'json_group_array'
    born = 'CAST(strftime(\'%Y%m%d\', {}) AS INTEGER)' if dialect == 'sqlite' else 'CAST(to_char({}, \'YYYYMMDD\') AS INTEGER)'
    # Full years: the difference of the days written as numbers, without its last four digits.
    age = f"(({born.format('c.as_of')} - {born.format('r.birth_date')}) / 10000)"
    band = f"CASE WHEN {age} < 18 THEN '0-17' WHEN {age} < 35 THEN '18-34' WHEN {age} < 60 THEN '35-59' ELSE '60+' END"
    op.execute(
        'INSERT INTO cohort_part (cohort_id, block, oktmo, band, sex, count, members) '
        f'SELECT c.id, r.id >> 16, substr(r.oktmo, 1, 8), {band}, r.sex, count(*), {gather}(r.id) '
        'FROM cohort_member m JOIN cohort c ON c.id = m.cohort_id JOIN resident r ON r.id = m.resident_id '
        f'GROUP BY c.id, r.id >> 16, substr(r.oktmo, 1, 8), {band}, r.sex'
    )


def _scatter(dialect: str) -> None:
    """And back."""
    if dialect == 'postgresql':
        op.execute('INSERT INTO cohort_member SELECT cohort_id, unnest(members) FROM cohort_part')
    else:
        op.execute('INSERT INTO cohort_member SELECT cohort_id, e.value FROM cohort_part, json_each(members) e')


def downgrade() -> None:
    for statement in drop_guards(op.get_bind().dialect.name, GUARDED):
        op.execute(statement)
    op.drop_index('ix_resident_oktmo_id', table_name='resident')
    op.create_index(op.f('ix_resident_oktmo'), 'resident', ['oktmo'], unique=False)
    op.create_table('cohort_member',
    sa.Column('cohort_id', sa.INTEGER(), nullable=False),
    sa.Column('resident_id', sa.INTEGER(), nullable=False),
    sa.ForeignKeyConstraint(['cohort_id'], ['cohort.id'], name=op.f('fk_cohort_member_cohort_id')),
    sa.ForeignKeyConstraint(['resident_id'], ['resident.id'], name=op.f('fk_cohort_member_resident_id')),
    sa.PrimaryKeyConstraint('cohort_id', 'resident_id', name=op.f('pk_cohort_member'))
    )
    op.create_index(op.f('ix_cohort_member_resident_id'), 'cohort_member', ['resident_id'], unique=False)
    _scatter(op.get_bind().dialect.name)
    op.drop_index('ix_cohort_part_cohort_id_oktmo_block', table_name='cohort_part')
    op.drop_table('cohort_part')
    op.drop_index('ix_bank_choice_snils_id', table_name='bank_choice')
    op.drop_index(op.f('ix_bank_choice_notice_id'), table_name='bank_choice')
    op.drop_table('bank_choice')
    op.drop_index(op.f('ix_public_notice_state'), table_name='public_notice')
    op.drop_index(op.f('ix_public_notice_proposed_by'), table_name='public_notice')
    op.drop_index(op.f('ix_public_notice_decided_by'), table_name='public_notice')
    op.drop_table('public_notice')
    op.drop_index(op.f('ix_policy_change_state'), table_name='policy_change')
    op.drop_index(op.f('ix_policy_change_proposed_by'), table_name='policy_change')
    op.drop_index(op.f('ix_policy_change_decided_by'), table_name='policy_change')
    op.drop_table('policy_change')
