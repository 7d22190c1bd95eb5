"""Long lists are made into files by workers, and kept for some days."""

import sqlalchemy as sa
from alembic import op

from uec.store.guards import create_guards, drop_guards

revision = '0028'
down_revision = '0027'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('export_file',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('list', sa.String(length=40), nullable=False, comment='which list'),
    sa.Column('form', sa.String(length=8), nullable=False, comment='csv or xlsx'),
    sa.Column('filters', sa.JSON(), nullable=False, comment='which part of the list'),
    sa.Column('wording', sa.JSON(), nullable=False, comment='title, heads and words in the language it was asked in'),
    sa.Column('asked_by', sa.Integer(), nullable=False, comment='whose it is'),
    sa.Column('asked_at', sa.DateTime(timezone=True), nullable=False, comment='when it was asked for'),
    sa.Column('state', sa.String(length=20), nullable=False, comment='where it stands'),
    sa.Column('expected', sa.Integer(), nullable=True, comment='rows of the list when it was begun; empty: not counted'),
    sa.Column('rows', sa.Integer(), nullable=False, comment='rows written so far'),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False, comment='of the file so far'),
    sa.Column('attempt', sa.Integer(), nullable=False, comment='how often a worker took it on; older ones write no more'),
    sa.Column('heard_at', sa.DateTime(timezone=True), nullable=True, comment='when its worker wrote last'),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True, comment='when it was ready, or failed'),
    sa.Column('keep_until', sa.DateTime(timezone=True), nullable=False, comment='when it is swept away'),
    sa.Column('failure', sa.String(length=60), nullable=True, comment='code of what stood against it'),
    sa.CheckConstraint("state IN ('WAITING', 'RUNNING', 'READY', 'FAILED')", name=op.f('ck_export_file_state')),
    sa.ForeignKeyConstraint(['asked_by'], ['staff.id'], name=op.f('fk_export_file_asked_by_staff')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_export_file'))
    )
    for column in ('asked_by', 'keep_until', 'state'):
        op.create_index(op.f(f'ix_export_file_{column}'), 'export_file', [column], unique=False)
    op.create_table('export_part',
    sa.Column('export_id', sa.Integer(), nullable=False),
    sa.Column('seq', sa.Integer(), autoincrement=False, nullable=False, comment='from 0'),
    sa.Column('content', sa.LargeBinary(), nullable=False, comment='some hundred kilobytes'),
    sa.ForeignKeyConstraint(['export_id'], ['export_file.id'], name=op.f('fk_export_part_export_id_export_file'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('export_id', 'seq', name=op.f('pk_export_part'))
    )
    for statement in create_guards(op.get_bind().dialect.name, ('export_file',)):
        op.execute(statement)


def downgrade() -> None:
    for statement in drop_guards(op.get_bind().dialect.name, ('export_file',)):
        op.execute(statement)
    op.drop_table('export_part')
    for column in ('state', 'keep_until', 'asked_by'):
        op.drop_index(op.f(f'ix_export_file_{column}'), table_name='export_file')
    op.drop_table('export_file')
