"""Prepared data as one row a card, with the signature of its security object, in parts that were made together."""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('prepared_part',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('batch_id', sa.Integer(), nullable=False),
    sa.Column('cards', sa.Integer(), nullable=False, comment='how many'),
    sa.Column('root', sa.LargeBinary(), nullable=False, comment="Merkle root over the cards' lists of digests, by card id"),
    sa.Column('prepared_at', sa.DateTime(timezone=True), nullable=False, comment='also the signing time of the security objects'),
    sa.Column('signer', sa.LargeBinary(), nullable=True, comment='certificate of the document signer, DER; empty: not signed'),
    sa.ForeignKeyConstraint(['batch_id'], ['batch.id'], name=op.f('fk_prepared_part_batch_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_prepared_part'))
    )
    op.create_index(op.f('ix_prepared_part_batch_id'), 'prepared_part', ['batch_id'], unique=False)
    op.rename_table('card_data', 'card_data_by_group')
    # PostgreSQL keeps the name of the old table's index, which the new one wants.
    if op.get_bind().dialect.name == 'postgresql':
        op.execute('ALTER INDEX pk_card_data RENAME TO pk_card_data_by_group')
    op.create_table('card_data',
    sa.Column('card_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('part_id', sa.Integer(), nullable=False, comment='prepared_part.id'),
    sa.Column('groups', sa.LargeBinary(), nullable=False, comment='data groups as data groupings (EMV CPS)'),
    sa.Column('signature', sa.LargeBinary(), nullable=True, comment="the document signer's, over the digests; empty: none"),
    sa.PrimaryKeyConstraint('card_id', name=op.f('pk_card_data'))
    )
    _gather()
    op.drop_table('card_data_by_group')


def _gather() -> None:
    """One row a card from one a group; what was prepared before stands in a part of its batch, unsigned."""
    known = op.get_bind().execute(sa.text(
        'SELECT card.batch_id, card_id, kind, content FROM card_data_by_group JOIN card ON card.id = card_id '
        'ORDER BY card.batch_id, card_id, kind'
    )).all()
    moment = sa.text("SELECT coalesce(released_at, planned_at) FROM batch WHERE id = :batch").columns(
        sa.column('at', sa.DateTime(timezone=True))
    )
    parts: set[int] = set()
    groups: dict[int, bytes] = {}
    part_table = sa.table('prepared_part', sa.column('id'), sa.column('batch_id'), sa.column('cards'),
                          sa.column('root', sa.LargeBinary), sa.column('prepared_at', sa.DateTime(timezone=True)))
    for batch, card, kind, content in known:
        if batch not in parts:
            parts.add(batch)
            at = op.get_bind().execute(moment, {'batch': batch}).scalar_one()
            cards = len({row.card_id for row in known if row.batch_id == batch})
            op.get_bind().execute(sa.insert(part_table).values(batch_id=batch, cards=cards, root=b'', prepared_at=at))
        size = bytes([len(content)]) if len(content) < 0xFF else b'\xff' + len(content).to_bytes(2, 'big')
        groups[card] = groups.get(card, b'') + int(kind.removeprefix('DG')).to_bytes(2, 'big') + size + bytes(content)
    owners = {row.card_id: row.batch_id for row in known}
    ids = {batch: number for number, batch in op.get_bind().execute(sa.text('SELECT id, batch_id FROM prepared_part'))}
    table = sa.table('card_data', sa.column('card_id'), sa.column('part_id'), sa.column('groups', sa.LargeBinary))
    op.bulk_insert(table, [
        {'card_id': card, 'part_id': ids[owners[card]], 'groups': content} for card, content in groups.items()
    ])


def downgrade() -> None:
    op.drop_table('card_data')
    op.drop_index(op.f('ix_prepared_part_batch_id'), table_name='prepared_part')
    op.drop_table('prepared_part')
    op.create_table('card_data',
    sa.Column('card_id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False, comment='DG1..DG4 or another file of the profile'),
    sa.Column('content', sa.LargeBinary(), nullable=False, comment='bytes that go to the card'),
    sa.Column('digest', sa.LargeBinary(), nullable=False, comment='SHA-256 of the content'),
    sa.ForeignKeyConstraint(['card_id'], ['card.id'], name=op.f('fk_card_data_card_id')),
    sa.PrimaryKeyConstraint('card_id', 'kind', name=op.f('pk_card_data'))
    )
