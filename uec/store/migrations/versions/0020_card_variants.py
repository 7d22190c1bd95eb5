"""Card variants: an application, a list and a plan's queue say which card is meant."""

import sqlalchemy as sa
from alembic import op

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None

OWN = "card variant; empty: the office's usual one"


def upgrade() -> None:
    for table in ('application', 'cohort'):
        op.add_column(table, sa.Column('profile', sa.String(length=40), nullable=True, comment=OWN))
    op.add_column('emission_slot', sa.Column('variant', sa.String(length=40), nullable=True, comment='card variant'))
    # Until now a plan had one variant, that of all its batches.
    op.execute(
        "UPDATE emission_slot SET variant = coalesce("
        "(SELECT min(b.variant) FROM emission_batch b WHERE b.plan_id = emission_slot.plan_id), '')"
    )
    op.drop_index('ix_emission_slot_queue', table_name='emission_slot')
    with op.batch_alter_table('emission_slot') as slots:
        slots.alter_column('variant', existing_type=sa.String(length=40), nullable=False)
    op.create_index(
        'ix_emission_slot_queue', 'emission_slot', ['plan_id', 'point_id', 'kind', 'variant', 'first'], unique=True
    )


def downgrade() -> None:
    op.drop_index('ix_emission_slot_queue', table_name='emission_slot')
    # Of two variants in one queue only one has a place there: the next plan gives the others theirs.
    op.execute(
        'DELETE FROM emission_slot WHERE id NOT IN '
        '(SELECT min(id) FROM emission_slot GROUP BY plan_id, point_id, kind, first)'
    )
    op.drop_column('emission_slot', 'variant')
    op.create_index('ix_emission_slot_queue', 'emission_slot', ['plan_id', 'point_id', 'kind', 'first'], unique=True)
    for table in ('cohort', 'application'):
        op.drop_column(table, 'profile')
