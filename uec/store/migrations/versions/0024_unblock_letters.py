"""PINs are unblocked at a window, and the letter with the code that does it waits to be printed once."""

import sqlalchemy as sa
from alembic import op

revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None

BEFORE = "kind IN ('PERSONALISE', 'INSPECT', 'HAND_OVER', 'READ', 'REKEY', 'TERMINATE')"
AFTER = "kind IN ('PERSONALISE', 'INSPECT', 'HAND_OVER', 'READ', 'REKEY', 'TERMINATE', 'UNBLOCK')"


def upgrade() -> None:
    op.create_table('unblock_letter',
    sa.Column('card_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('sealed', sa.LargeBinary(), nullable=True, comment='digits, enciphered; empty: printed, or the card has ended'),
    sa.Column('drawn_at', sa.DateTime(timezone=True), nullable=False, comment='when the digits were drawn'),
    sa.Column('printed_at', sa.DateTime(timezone=True), nullable=True, comment='when the letter was printed'),
    sa.Column('printed_by', sa.Integer(), nullable=True),
    sa.CheckConstraint('printed_at IS NULL OR sealed IS NULL', name=op.f('ck_unblock_letter_printed_once')),
    sa.ForeignKeyConstraint(['card_id'], ['card.id'], name=op.f('fk_unblock_letter_card_id_card')),
    sa.ForeignKeyConstraint(['printed_by'], ['staff.id'], name=op.f('fk_unblock_letter_printed_by_staff')),
    sa.PrimaryKeyConstraint('card_id', name=op.f('pk_unblock_letter'))
    )
    op.create_index(op.f('ix_unblock_letter_printed_by'), 'unblock_letter', ['printed_by'], unique=False)
    _allow_kinds(BEFORE, AFTER)


def downgrade() -> None:
    _allow_kinds(AFTER, BEFORE)
    op.drop_index(op.f('ix_unblock_letter_printed_by'), table_name='unblock_letter')
    op.drop_table('unblock_letter')


def _allow_kinds(before: str, after: str) -> None:
    if op.get_bind().dialect.name == 'postgresql':
        op.drop_constraint(op.f('ck_card_operation_kind'), 'card_operation')
        op.create_check_constraint(op.f('ck_card_operation_kind'), 'card_operation', after)
        return
    # As in 0013: SQLite changes no constraint, and its table keeps rows, indexes and triggers this way.
    bind = op.get_bind()
    version = bind.exec_driver_sql('PRAGMA schema_version').scalar_one()
    bind.exec_driver_sql('PRAGMA writable_schema = ON')
    bind.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'card_operation'",
        (before, after),
    )
    bind.exec_driver_sql(f'PRAGMA schema_version = {version + 1}')
    bind.exec_driver_sql('PRAGMA writable_schema = OFF')
