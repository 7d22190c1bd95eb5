"""OCSP answers signed ahead and their signers; certificates know which part of the revocation list speaks for them."""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('certificate', sa.Column('crl_part', sa.Integer(), nullable=True, comment='which part of the list, fixed at issue, or whole'))
    op.create_index(op.f('ix_certificate_crl_part'), 'certificate', ['crl_part'], unique=False)
    op.create_table('ocsp_signer',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('issuer', sa.String(length=64), nullable=False, comment='SHA-256 of the issuing certificate, hex'),
    sa.Column('serial', sa.String(length=40), nullable=False, comment='hex, without leading zeros'),
    sa.Column('tbs_digest', sa.String(length=64), nullable=False, comment='SHA-256 of what was intended to be signed, hex'),
    sa.Column('public_key_digest', sa.String(length=64), nullable=False, comment='SHA-256 of the SPKI, hex'),
    sa.Column('not_before', sa.DateTime(timezone=True), nullable=False),
    sa.Column('not_after', sa.DateTime(timezone=True), nullable=False),
    sa.Column('der', sa.LargeBinary(), nullable=True, comment='empty until issued'),
    sa.Column('intended_at', sa.DateTime(timezone=True), nullable=False, comment='stored before anything is signed'),
    sa.Column('issued_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ocsp_signer')),
    sa.UniqueConstraint('serial', name=op.f('uq_ocsp_signer_serial'))
    )
    op.create_index(op.f('ix_ocsp_signer_issuer'), 'ocsp_signer', ['issuer'], unique=False)
    op.create_table('ocsp_answer',
    sa.Column('certificate_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False, comment='when it is to be signed (again)'),
    sa.Column('changed', sa.BigInteger(), nullable=False, comment='number of the change that made it void'),
    sa.Column('content', sa.LargeBinary(), nullable=True, comment='data, algorithm and signature in DER; empty: void'),
    sa.Column('signer_id', sa.Integer(), nullable=True),
    sa.Column('this_update', sa.DateTime(timezone=True), nullable=True),
    sa.Column('next_update', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['certificate_id'], ['certificate.id'], name=op.f('fk_ocsp_answer_certificate_id')),
    sa.ForeignKeyConstraint(['signer_id'], ['ocsp_signer.id'], name=op.f('fk_ocsp_answer_signer_id')),
    sa.PrimaryKeyConstraint('certificate_id', name=op.f('pk_ocsp_answer'))
    )
    op.create_index(op.f('ix_ocsp_answer_due_at'), 'ocsp_answer', ['due_at'], unique=False)
    # Answers about what was issued before this version are due at once.
    op.execute(
        "INSERT INTO ocsp_answer (certificate_id, due_at, changed) SELECT id, intended_at, 0 FROM certificate"
        " WHERE state IN ('ISSUED', 'HELD', 'REVOKED') AND profile NOT IN ('root-ca', 'issuing-ca')"
    )


def downgrade() -> None:
    op.drop_table('ocsp_answer')
    op.drop_table('ocsp_signer')
    op.drop_index(op.f('ix_certificate_crl_part'), table_name='certificate')
    op.drop_column('certificate', 'crl_part')
