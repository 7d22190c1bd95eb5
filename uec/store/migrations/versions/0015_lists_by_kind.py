"""A list's members by kind alone, and what a list asks of the register in one index; the dead at hand."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None

KIND = 'cohort_id, oktmo, band, sex'
DEAD = sa.text('death_date IS NOT NULL')


def upgrade() -> None:
    member, each = elements()
    op.execute(
        f'CREATE TEMPORARY TABLE kept AS SELECT {KIND}, count(*) AS "count", {gather()}({member}) AS members '
        f'FROM cohort_part CROSS JOIN {each} GROUP BY {KIND}'
    )
    op.drop_table('cohort_part')
    parts(['cohort_id', 'oktmo', 'band', 'sex'])
    op.execute(f'INSERT INTO cohort_part ({KIND}, "count", members) SELECT {KIND}, "count", members FROM kept')
    op.execute('DROP TABLE kept')
    op.create_index('ix_resident_dead', 'resident', ['id'], postgresql_where=DEAD, sqlite_where=DEAD)
    op.drop_index('ix_resident_oktmo_id', table_name='resident')
    include = ['birth_date', 'death_date', 'sex', 'snils']
    op.create_index('ix_resident_oktmo_id', 'resident', ['oktmo', 'id'], postgresql_include=include)


def downgrade() -> None:
    op.drop_index('ix_resident_oktmo_id', table_name='resident')
    op.create_index('ix_resident_oktmo_id', 'resident', ['oktmo', 'id'])
    op.drop_index('ix_resident_dead', table_name='resident')
    member, each = elements()
    op.execute(
        f'CREATE TEMPORARY TABLE kept AS SELECT {KIND}, {member} >> 16 AS block, count(*) AS "count", '
        f'{gather()}({member}) AS members FROM cohort_part CROSS JOIN {each} GROUP BY {KIND}, {member} >> 16'
    )
    op.drop_table('cohort_part')
    block = sa.Column('block', sa.Integer(), autoincrement=False, nullable=False, comment='id of the resident / 65536')
    parts(['cohort_id', 'block', 'oktmo', 'band', 'sex'], block)
    op.create_index('ix_cohort_part_cohort_id_oktmo_block', 'cohort_part', ['cohort_id', 'oktmo', 'block'])
    op.execute(f'INSERT INTO cohort_part ({KIND}, block, "count", members) SELECT {KIND}, block, "count", members FROM kept')
    op.execute('DROP TABLE kept')


def parts(key: list[str], *more: sa.Column[Any]) -> None:
    op.create_table('cohort_part',
    sa.Column('cohort_id', sa.Integer(), nullable=False),
    *more,
    sa.Column('oktmo', sa.String(length=8), nullable=False, comment='municipality, 8 digits'),
    sa.Column('band', sa.String(length=8), nullable=False, comment='age in full years, like 18-34'),
    sa.Column('sex', sa.String(length=1), nullable=False, comment='M or F'),
    sa.Column('count', sa.Integer(), nullable=False, comment='how many'),
    sa.Column('members', sa.ARRAY(sa.Integer()).with_variant(sa.JSON(), 'sqlite'), nullable=False, comment='ids of the residents'),
    sa.ForeignKeyConstraint(['cohort_id'], ['cohort.id'], name=op.f('fk_cohort_part_cohort_id')),
    sa.PrimaryKeyConstraint(*key, name=op.f('pk_cohort_part'))
    )


def postgresql() -> bool:
    return op.get_bind().dialect.name == 'postgresql'


def gather() -> str:
    return 'array_agg' if postgresql() else 'json_group_array'


def elements() -> tuple[str, str]:
    """A member, and the members of a part as something to join."""
    return ('e.id', 'unnest(members) AS e(id)') if postgresql() else ('e.value', 'json_each(members) AS e')
