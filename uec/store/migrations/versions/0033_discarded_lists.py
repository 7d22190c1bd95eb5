"""A list for mass emission can be discarded before anything is opened from it; a notice has its text in English too."""

import sqlalchemy as sa
from alembic import op

from uec.store.guards import create_guards, drop_guards

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "public_notice",
        sa.Column("text_en", sa.Text(), server_default="", nullable=False, comment="the same in English, if any"),
    )
    dialect = op.get_bind().dialect.name
    for statement in (*drop_guards(dialect, ["cohort"]), *create_guards(dialect, ["cohort"])):
        op.execute(statement)


def downgrade() -> None:
    """The guards stay: what they allow more, an earlier version does not do."""
    op.drop_column("public_notice", "text_en")
