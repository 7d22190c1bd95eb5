"""Residents whom a full export of the register does not name."""

import sqlalchemy as sa
from alembic import op

revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('register_absence',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('resident_id', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('import_id', sa.Integer(), nullable=False, comment='the full export'),
    sa.Column('found_at', sa.DateTime(timezone=True), nullable=False, comment='when it was found, or found anew'),
    sa.Column('reason', sa.Text(), nullable=True, comment='why it was decided so'),
    sa.Column('decided_by', sa.Integer(), nullable=True, comment='who decided'),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True, comment='when it was decided'),
    sa.CheckConstraint("state IN ('OPEN', 'STAYS', 'GONE', 'BACK')", name=op.f('ck_register_absence_state')),
    sa.ForeignKeyConstraint(['resident_id'], ['resident.id'], name=op.f('fk_register_absence_resident_id_resident')),
    sa.ForeignKeyConstraint(['import_id'], ['register_import.id'], name=op.f('fk_register_absence_import_id_register_import')),
    sa.ForeignKeyConstraint(['decided_by'], ['staff.id'], name=op.f('fk_register_absence_decided_by_staff')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_register_absence')),
    sa.UniqueConstraint('resident_id', name=op.f('uq_register_absence_resident_id'))
    )
    op.create_index('ix_register_absence_state_id', 'register_absence', ['state', 'id'])
    op.create_index(op.f('ix_register_absence_import_id'), 'register_absence', ['import_id'])
    op.create_index(op.f('ix_register_absence_decided_by'), 'register_absence', ['decided_by'])
    op.add_column('register_import', sa.Column('full_export', sa.Boolean(), server_default=sa.false(), nullable=False, comment='declared to name every resident'))
    op.add_column('register_import', sa.Column('missing', sa.Integer(), server_default='0', nullable=False, comment='residents that a full export lacked'))


def downgrade() -> None:
    op.drop_column('register_import', 'missing')
    op.drop_column('register_import', 'full_export')
    op.drop_table('register_absence')
