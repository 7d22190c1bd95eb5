"""What the vault tells about its keys, for the office's page."""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('key_version',
    sa.Column('purpose', sa.String(length=40), nullable=False, comment='what it is for, as the vault names it'),
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False, comment='from 1 up, never given twice'),
    sa.Column('algorithm', sa.String(length=20), nullable=False, comment='as the vault names it'),
    sa.Column('state', sa.String(length=20), nullable=False, comment='in the vault, when it was noted'),
    sa.Column('check_value', sa.String(length=16), nullable=False, comment='hex'),
    sa.Column('uses', sa.BigInteger(), nullable=False, comment='how often it was used; never too few'),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False, comment='when it was made'),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True, comment='end of its cryptoperiod'),
    sa.Column('noted_at', sa.DateTime(timezone=True), nullable=False, comment='when the vault told'),
    sa.CheckConstraint("state IN ('pre-active', 'active', 'retired', 'compromised', 'destroyed')", name=op.f('ck_key_version_state')),
    sa.PrimaryKeyConstraint('purpose', 'version', name=op.f('pk_key_version'))
    )


def downgrade() -> None:
    op.drop_table('key_version')
