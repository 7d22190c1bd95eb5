"""Indexes that long lists are paged, searched and balanced by: applications, cards, the audit, the stock's ledger."""

import sqlalchemy as sa
from alembic import op

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None

ELSEWHERE = sa.text("motion NOT IN ('CLAIM', 'MAKE')")


def upgrade() -> None:
    op.drop_index('ix_application_state_due_on', table_name='application')
    op.create_index('ix_application_state_due_on_id', 'application', ['state', 'due_on', 'id'])
    op.create_index('ix_application_due_on_id', 'application', ['due_on', 'id'], postgresql_include=['state', 'route', 'point_id'])
    op.create_index('ix_application_surname', 'application', ['surname'], postgresql_ops={'surname': 'varchar_pattern_ops'})
    op.drop_index(op.f('ix_card_stage'), table_name='card')
    op.create_index('ix_card_stage_id', 'card', ['stage', 'id'])
    op.drop_index(op.f('ix_card_batch_id'), table_name='card')
    op.create_index('ix_card_batch_id_stage', 'card', ['batch_id', 'stage'])
    op.create_index('ix_audit_entry_actor_id', 'audit_entry', ['actor', 'id'])
    op.create_index('ix_audit_entry_subject_kind_id', 'audit_entry', ['subject_kind', 'id'])
    op.create_index('ix_audit_entry_subject_id_id', 'audit_entry', ['subject_id', 'id'])
    op.create_index('ix_stock_movement_crossing', 'stock_movement', ['motion'], sqlite_where=ELSEWHERE, postgresql_where=ELSEWHERE)


def downgrade() -> None:
    op.drop_index('ix_stock_movement_crossing', table_name='stock_movement')
    for column in ('subject_id', 'subject_kind', 'actor'):
        op.drop_index(f'ix_audit_entry_{column}_id', table_name='audit_entry')
    op.drop_index('ix_card_batch_id_stage', table_name='card')
    op.create_index(op.f('ix_card_batch_id'), 'card', ['batch_id'])
    op.drop_index('ix_card_stage_id', table_name='card')
    op.create_index(op.f('ix_card_stage'), 'card', ['stage'])
    for name in ('surname', 'due_on_id', 'state_due_on_id'):
        op.drop_index(f'ix_application_{name}', table_name='application')
    op.create_index('ix_application_state_due_on', 'application', ['state', 'due_on'])
