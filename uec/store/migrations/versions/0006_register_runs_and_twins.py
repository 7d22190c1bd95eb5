"""Imports of the register that go on after a kill; twins on the register, put before a clerk."""

import sqlalchemy as sa
from alembic import op

from uec.store.guards import create_guards, drop_guards

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

GUARDED = ('twin_case',)


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    # What is lost with a crash of the server is staged again from the file.
    unlogged = ['UNLOGGED'] if dialect == 'postgresql' else []
    op.create_table('register_reject',
    sa.Column('line', sa.BigInteger(), autoincrement=False, nullable=False, comment='line in the file'),
    sa.Column('text', sa.Text(), nullable=False, comment='line of the reject file'),
    sa.PrimaryKeyConstraint('line', name=op.f('pk_register_reject'))
    )
    op.create_table('register_staging',
    sa.Column('line', sa.BigInteger(), autoincrement=False, nullable=False, comment='line in the file'),
    sa.Column('digest', sa.LargeBinary(), nullable=False, comment='digest of the checked row'),
    sa.Column('register_id', sa.Text(), nullable=False),
    sa.Column('surname', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('patronymic', sa.Text(), nullable=False),
    sa.Column('birth_date', sa.Text(), nullable=False),
    sa.Column('birth_place', sa.Text(), nullable=False),
    sa.Column('sex', sa.Text(), nullable=False),
    sa.Column('snils', sa.Text(), nullable=False),
    sa.Column('oms', sa.Text(), nullable=False),
    sa.Column('doc_type', sa.Text(), nullable=False),
    sa.Column('doc_series', sa.Text(), nullable=False),
    sa.Column('doc_number', sa.Text(), nullable=False),
    sa.Column('doc_date', sa.Text(), nullable=False),
    sa.Column('doc_issuer', sa.Text(), nullable=False),
    sa.Column('oktmo', sa.Text(), nullable=False),
    sa.Column('fias', sa.Text(), nullable=False),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('phone', sa.Text(), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('death_date', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('line', name=op.f('pk_register_staging')),
    prefixes=unlogged
    )
    op.create_table('twin_case',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(length=600), nullable=False, comment='what they share, like snils 11223344595'),
    sa.Column('kind', sa.String(length=20), nullable=False, comment='why they are in one case'),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('found_at', sa.DateTime(timezone=True), nullable=False, comment='when it was found, or found anew'),
    sa.Column('import_id', sa.Integer(), nullable=True, comment='import that brought it'),
    sa.Column('reason', sa.Text(), nullable=True, comment='why it was decided so'),
    sa.Column('decided_by', sa.Integer(), nullable=True, comment='who decided'),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True, comment='when it was decided'),
    sa.CheckConstraint("kind IN ('SAME_PERSON', 'SNILS_REUSED', 'DOCUMENT_REUSED')", name=op.f('ck_twin_case_kind')),
    sa.CheckConstraint("state IN ('OPEN', 'DECIDED', 'CLOSED')", name=op.f('ck_twin_case_state')),
    sa.ForeignKeyConstraint(['decided_by'], ['staff.id'], name=op.f('fk_twin_case_decided_by')),
    sa.ForeignKeyConstraint(['import_id'], ['register_import.id'], name=op.f('fk_twin_case_import_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_twin_case')),
    sa.UniqueConstraint('key', name=op.f('uq_twin_case_key'))
    )
    op.create_index(op.f('ix_twin_case_decided_by'), 'twin_case', ['decided_by'], unique=False)
    op.create_index(op.f('ix_twin_case_import_id'), 'twin_case', ['import_id'], unique=False)
    op.create_index('ix_twin_case_state_id', 'twin_case', ['state', 'id'], unique=False)
    op.create_table('twin_member',
    sa.Column('case_id', sa.Integer(), nullable=False),
    sa.Column('resident_id', sa.Integer(), nullable=False),
    sa.Column('role', sa.String(length=20), nullable=True, comment='what was decided; empty while open'),
    sa.CheckConstraint("role IN ('STANDS', 'SUPERSEDED', 'RIGHT', 'WRONG')", name=op.f('ck_twin_member_role')),
    sa.ForeignKeyConstraint(['case_id'], ['twin_case.id'], name=op.f('fk_twin_member_case_id')),
    sa.ForeignKeyConstraint(['resident_id'], ['resident.id'], name=op.f('fk_twin_member_resident_id')),
    sa.PrimaryKeyConstraint('case_id', 'resident_id', name=op.f('pk_twin_member'))
    )
    op.create_index(op.f('ix_twin_member_resident_id'), 'twin_member', ['resident_id'], unique=False)
    # With its check in the column, so that SQLite needs no new table.
    op.execute(
        "ALTER TABLE register_import ADD COLUMN state VARCHAR(20) DEFAULT 'DONE' NOT NULL "
        "CONSTRAINT ck_register_import_state CHECK (state IN ('STAGING', 'MOVED', 'DONE'))"
    )
    if dialect == 'postgresql':
        op.execute("COMMENT ON COLUMN register_import.state IS 'how far it came'")
    op.add_column('register_import', sa.Column('twins', sa.Integer(), server_default='0', nullable=False, comment='new cases of twins put before a clerk'))
    op.add_column('register_import', sa.Column('file_bytes', sa.BigInteger(), server_default='0', nullable=False, comment='size of the file'))
    op.add_column('register_import', sa.Column('bytes_done', sa.BigInteger(), server_default='0', nullable=False, comment='so much of the file is staged'))
    op.add_column('register_import', sa.Column('next_line', sa.Integer(), server_default='2', nullable=False, comment='the line after what is staged'))
    op.add_column('register_import', sa.Column('staged', sa.Integer(), server_default='0', nullable=False, comment='rows put into register_staging'))
    op.add_column('register_import', sa.Column('prefix_digest', sa.String(length=64), nullable=True, comment='SHA-256 of what is staged of the file, hex'))
    op.add_column('register_import', sa.Column('as_of', sa.Date(), nullable=True, comment='the day rows are checked by, also after a pause'))
    op.add_column('register_import', sa.Column('codes_digest', sa.String(length=64), nullable=True, comment='SHA-256 of the municipalities rows are checked by, hex'))
    for statement in create_guards(dialect, GUARDED):
        op.execute(statement)


def downgrade() -> None:
    for statement in drop_guards(op.get_bind().dialect.name, GUARDED):
        op.execute(statement)
    op.drop_column('register_import', 'codes_digest')
    op.drop_column('register_import', 'as_of')
    op.drop_column('register_import', 'prefix_digest')
    op.drop_column('register_import', 'staged')
    op.drop_column('register_import', 'next_line')
    op.drop_column('register_import', 'bytes_done')
    op.drop_column('register_import', 'file_bytes')
    op.drop_column('register_import', 'twins')
    op.drop_column('register_import', 'state')
    op.drop_index(op.f('ix_twin_member_resident_id'), table_name='twin_member')
    op.drop_table('twin_member')
    op.drop_index('ix_twin_case_state_id', table_name='twin_case')
    op.drop_index(op.f('ix_twin_case_import_id'), table_name='twin_case')
    op.drop_index(op.f('ix_twin_case_decided_by'), table_name='twin_case')
    op.drop_table('twin_case')
    op.drop_table('register_staging')
    op.drop_table('register_reject')
