"""Several hubs side by side, each with its lease; cards are re-keyed and terminated as work of their own."""

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None

BEFORE = "kind IN ('PERSONALISE', 'INSPECT', 'HAND_OVER', 'READ')"
AFTER = "kind IN ('PERSONALISE', 'INSPECT', 'HAND_OVER', 'READ', 'REKEY', 'TERMINATE')"


def upgrade() -> None:
    # Rows of hubs that are running are theirs alone; the next beat of a running hub finds its own gone.
    op.drop_index(op.f('ix_hub_instance_heartbeat_at'), table_name='hub_instance')
    op.drop_table('hub_instance')
    op.create_table('hub_instance',
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False, comment='drawn at random by the hub'),
    sa.Column('public_key', sa.LargeBinary(), nullable=False, comment='key the web process seals PINs to'),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('heartbeat_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('beats', sa.Integer(), nullable=False, comment='renewals of the lease; it stands still when the hub is dead'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hub_instance'))
    )
    op.create_index(op.f('ix_hub_instance_heartbeat_at'), 'hub_instance', ['heartbeat_at'], unique=False)
    op.add_column('card_operation', sa.Column('hub_id', sa.Integer(), nullable=True, comment='hub_instance.id of the hub that does it'))
    op.add_column('station', sa.Column('hub_id', sa.Integer(), nullable=True, comment='hub_instance.id of the hub it is linked to'))
    _allow_kinds(BEFORE, AFTER)


def downgrade() -> None:
    _allow_kinds(AFTER, BEFORE)
    op.drop_column('station', 'hub_id')
    op.drop_column('card_operation', 'hub_id')
    op.drop_index(op.f('ix_hub_instance_heartbeat_at'), table_name='hub_instance')
    op.drop_table('hub_instance')
    op.create_table('hub_instance',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_key', sa.LargeBinary(), nullable=False, comment='key the web process seals PINs to'),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('heartbeat_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hub_instance'))
    )
    op.create_index(op.f('ix_hub_instance_heartbeat_at'), 'hub_instance', ['heartbeat_at'], unique=False)


def _allow_kinds(before: str, after: str) -> None:
    if op.get_bind().dialect.name == 'postgresql':
        op.drop_constraint(op.f('ck_card_operation_kind'), 'card_operation')
        op.create_check_constraint(op.f('ck_card_operation_kind'), 'card_operation', after)
        return
    # SQLite changes no constraint; its manual's way for a CHECK (lang_altertable.html, section 7) keeps the table's
    # rows, indexes and triggers where they are.
    bind = op.get_bind()
    version = bind.exec_driver_sql('PRAGMA schema_version').scalar_one()
    bind.exec_driver_sql('PRAGMA writable_schema = ON')
    bind.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'card_operation'",
        (before, after),
    )
    bind.exec_driver_sql(f'PRAGMA schema_version = {version + 1}')
    bind.exec_driver_sql('PRAGMA writable_schema = OFF')
