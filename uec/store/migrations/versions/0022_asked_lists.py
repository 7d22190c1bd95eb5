"""Workers compute lists and open their applications."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

ASKED = "when workers were asked to compute it; empty: computed"
OPENING = "when workers were asked to open its applications; empty: nothing is asked"


def upgrade() -> None:
    op.add_column("cohort", sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True, comment=ASKED))
    op.add_column(
        "cohort", sa.Column("at_most", sa.Integer(), nullable=True, comment="at most so many members; empty: everybody")
    )
    op.add_column("cohort", sa.Column("opening_asked_at", sa.DateTime(timezone=True), nullable=True, comment=OPENING))
    op.add_column(
        "cohort", sa.Column("opened", sa.Integer(), server_default="0", nullable=False, comment="applications opened")
    )
    op.execute("UPDATE cohort SET opened = (SELECT count(*) FROM application WHERE cohort_id = cohort.id)")


def downgrade() -> None:
    for column in ("opened", "opening_asked_at", "at_most"):
        op.drop_column("cohort", column)
    op.drop_column("cohort", "asked_at")
