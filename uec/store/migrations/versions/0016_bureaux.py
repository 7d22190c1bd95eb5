"""Outside personalisation bureaux: partners, orders, and the files between."""

import sqlalchemy as sa
from alembic import op

from uec.store.guards import create_guards, drop_guards

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None

GUARDED = ('bureau', 'bureau_certificate', 'bureau_order', 'bureau_card', 'bureau_consignment')
TABLES = ('bureau_lot', 'bureau', 'bureau_certificate', 'bureau_order', 'bureau_chip', 'bureau_consignment', 'bureau_file', 'bureau_key', 'bureau_card')


def upgrade() -> None:
    op.create_table('bureau_lot',
    sa.Column('lot', sa.String(length=12), nullable=False, comment='fabricator, type, batch, hex'),
    sa.Column('kdd', sa.String(length=20), nullable=False, comment="diversification data, SSSSSSSS in the serial's place"),
    sa.Column('entered_by', sa.Integer(), nullable=True),
    sa.Column('entered_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['entered_by'], ['staff.id'], name=op.f('fk_bureau_lot_entered_by')),
    sa.PrimaryKeyConstraint('lot', name=op.f('pk_bureau_lot'))
    )
    op.create_index(op.f('ix_bureau_lot_entered_by'), 'bureau_lot', ['entered_by'], unique=False)
    op.create_table('bureau',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('code', sa.String(length=20), nullable=False, comment='its name in files'),
    sa.Column('name', sa.String(length=120), nullable=False, comment='name staff use'),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('store_id', sa.Integer(), nullable=False, comment='blanks that lie there'),
    sa.Column('transport_version', sa.Integer(), nullable=True, comment='version of its transport key in the vault'),
    sa.Column('cards_per_day', sa.Integer(), nullable=False, comment='what it promises to make'),
    sa.Column('proposed_by', sa.Integer(), nullable=True),
    sa.Column('proposed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('approved_by', sa.Integer(), nullable=True, comment='another person'),
    sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('PROPOSED', 'APPROVED', 'ENDED')", name=op.f('ck_bureau_state')),
    sa.ForeignKeyConstraint(['approved_by'], ['staff.id'], name=op.f('fk_bureau_approved_by')),
    sa.ForeignKeyConstraint(['proposed_by'], ['staff.id'], name=op.f('fk_bureau_proposed_by')),
    sa.ForeignKeyConstraint(['store_id'], ['stock_store.id'], name=op.f('fk_bureau_store_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bureau')),
    sa.UniqueConstraint('code', name=op.f('uq_bureau_code')),
    sa.UniqueConstraint('store_id', name=op.f('uq_bureau_store_id'))
    )
    op.create_index(op.f('ix_bureau_approved_by'), 'bureau', ['approved_by'], unique=False)
    op.create_index(op.f('ix_bureau_proposed_by'), 'bureau', ['proposed_by'], unique=False)
    op.create_table('bureau_certificate',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('bureau_id', sa.Integer(), nullable=False),
    sa.Column('use', sa.String(length=20), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('der', sa.LargeBinary(), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False, comment='SHA-256 of the certificate, hex'),
    sa.Column('subject', sa.String(length=300), nullable=False),
    sa.Column('not_before', sa.DateTime(timezone=True), nullable=False),
    sa.Column('not_after', sa.DateTime(timezone=True), nullable=False),
    sa.Column('proposed_by', sa.Integer(), nullable=True),
    sa.Column('proposed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('approved_by', sa.Integer(), nullable=True, comment='another person'),
    sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('PROPOSED', 'APPROVED', 'ENDED')", name=op.f('ck_bureau_certificate_state')),
    sa.CheckConstraint("use IN ('ENCRYPTION', 'SIGNATURE')", name=op.f('ck_bureau_certificate_use')),
    sa.ForeignKeyConstraint(['approved_by'], ['staff.id'], name=op.f('fk_bureau_certificate_approved_by')),
    sa.ForeignKeyConstraint(['bureau_id'], ['bureau.id'], name=op.f('fk_bureau_certificate_bureau_id')),
    sa.ForeignKeyConstraint(['proposed_by'], ['staff.id'], name=op.f('fk_bureau_certificate_proposed_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bureau_certificate')),
    sa.UniqueConstraint('bureau_id', 'use', 'fingerprint', name=op.f('uq_bureau_certificate_bureau_id_use_fingerprint'))
    )
    op.create_index(op.f('ix_bureau_certificate_approved_by'), 'bureau_certificate', ['approved_by'], unique=False)
    op.create_index(op.f('ix_bureau_certificate_proposed_by'), 'bureau_certificate', ['proposed_by'], unique=False)
    op.create_table('bureau_order',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('number', sa.String(length=30), nullable=False),
    sa.Column('bureau_id', sa.Integer(), nullable=False),
    sa.Column('batch_id', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('certificates', sa.String(length=20), nullable=False, comment='how they get onto the cards'),
    sa.Column('cards', sa.Integer(), nullable=False, comment='cards ordered'),
    sa.Column('chips', sa.JSON(), nullable=False, comment='ranges of blanks given out for it'),
    sa.Column('kvn', sa.Integer(), nullable=True, comment='key version number the cards get'),
    sa.Column('key_version', sa.Integer(), nullable=True, comment='version of the card master'),
    sa.Column('pin_version', sa.Integer(), nullable=True, comment='version of the PIN master; empty: the bureau sets none'),
    sa.Column('digest', sa.LargeBinary(), nullable=True, comment="SHA-256 of the order's records"),
    sa.Column('reason', sa.String(length=500), nullable=True, comment='why it was declined or cancelled'),
    sa.Column('drawn_by', sa.Integer(), nullable=True),
    sa.Column('drawn_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('approved_by', sa.Integer(), nullable=True, comment='another person'),
    sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('accepted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('completed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True, comment='closed, declined or cancelled'),
    sa.Column('version', sa.Integer(), nullable=False, comment='optimistic lock'),
    sa.CheckConstraint("certificates IN ('hand-over', 'answer')", name=op.f('ck_bureau_order_certificates')),
    sa.CheckConstraint("state IN ('DRAWN', 'APPROVED', 'SENT', 'ACCEPTED', 'DECLINED', 'COMPLETE', 'CLOSED', 'CANCELLED')", name=op.f('ck_bureau_order_state')),
    sa.ForeignKeyConstraint(['approved_by'], ['staff.id'], name=op.f('fk_bureau_order_approved_by')),
    sa.ForeignKeyConstraint(['batch_id'], ['batch.id'], name=op.f('fk_bureau_order_batch_id')),
    sa.ForeignKeyConstraint(['bureau_id'], ['bureau.id'], name=op.f('fk_bureau_order_bureau_id')),
    sa.ForeignKeyConstraint(['drawn_by'], ['staff.id'], name=op.f('fk_bureau_order_drawn_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bureau_order')),
    sa.UniqueConstraint('number', name=op.f('uq_bureau_order_number'))
    )
    op.create_index(op.f('ix_bureau_order_approved_by'), 'bureau_order', ['approved_by'], unique=False)
    op.create_index(op.f('ix_bureau_order_bureau_id'), 'bureau_order', ['bureau_id'], unique=False)
    op.create_index(op.f('ix_bureau_order_drawn_by'), 'bureau_order', ['drawn_by'], unique=False)
    op.create_index(op.f('ix_bureau_order_state'), 'bureau_order', ['state'], unique=False)
    op.create_index('uq_bureau_order_standing', 'bureau_order', ['batch_id'], unique=True, sqlite_where=sa.text("state NOT IN ('DECLINED', 'CANCELLED')"), postgresql_where=sa.text("state NOT IN ('DECLINED', 'CANCELLED')"))
    op.create_table('bureau_chip',
    sa.Column('order_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('chip_id', sa.String(length=20), nullable=False),
    sa.Column('check_values', sa.LargeBinary(), nullable=False, comment='of ENC, MAC and DEK, 3 bytes each'),
    sa.Column('card_id', sa.Integer(), nullable=True, comment='card it became'),
    sa.Column('spoiled', sa.String(length=500), nullable=True, comment='why it was spoiled'),
    sa.ForeignKeyConstraint(['card_id'], ['card.id'], name=op.f('fk_bureau_chip_card_id')),
    sa.ForeignKeyConstraint(['order_id'], ['bureau_order.id'], name=op.f('fk_bureau_chip_order_id')),
    sa.PrimaryKeyConstraint('order_id', 'chip_id', name=op.f('pk_bureau_chip'))
    )
    op.create_index(op.f('ix_bureau_chip_card_id'), 'bureau_chip', ['card_id'], unique=False)
    op.create_table('bureau_consignment',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('order_id', sa.Integer(), nullable=False),
    sa.Column('number', sa.String(length=40), nullable=False),
    sa.Column('seal', sa.String(length=60), nullable=False, comment='seal as the bureau tells it'),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('cards', sa.Integer(), nullable=False),
    sa.Column('announced_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('received_by', sa.Integer(), nullable=True),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('ANNOUNCED', 'RECEIVED')", name=op.f('ck_bureau_consignment_state')),
    sa.ForeignKeyConstraint(['order_id'], ['bureau_order.id'], name=op.f('fk_bureau_consignment_order_id')),
    sa.ForeignKeyConstraint(['received_by'], ['staff.id'], name=op.f('fk_bureau_consignment_received_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bureau_consignment')),
    sa.UniqueConstraint('order_id', 'number', name=op.f('uq_bureau_consignment_order_id_number'))
    )
    op.create_index(op.f('ix_bureau_consignment_received_by'), 'bureau_consignment', ['received_by'], unique=False)
    op.create_table('bureau_file',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('bureau_id', sa.Integer(), nullable=True, comment="empty: nobody's"),
    sa.Column('order_id', sa.Integer(), nullable=True),
    sa.Column('kind', sa.String(length=20), nullable=False, comment='order, acknowledgement, results, answer; empty: unknown'),
    sa.Column('sequence', sa.Integer(), nullable=False, comment='number within the order'),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False, comment='of the file as it is, hex'),
    sa.Column('size_bytes', sa.Integer(), nullable=False),
    sa.Column('outcome', sa.String(length=20), nullable=False),
    sa.Column('finding', sa.String(length=60), nullable=True, comment='why it was refused, in one word'),
    sa.Column('sentence', sa.String(length=500), nullable=True, comment='the same in a sentence'),
    sa.Column('facts', sa.JSON(), nullable=False, comment='counts'),
    sa.Column('by', sa.String(length=80), nullable=False, comment='who sent or brought it, like staff:7'),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("outcome IN ('SENT', 'TAKEN', 'REFUSED')", name=op.f('ck_bureau_file_outcome')),
    sa.ForeignKeyConstraint(['bureau_id'], ['bureau.id'], name=op.f('fk_bureau_file_bureau_id')),
    sa.ForeignKeyConstraint(['order_id'], ['bureau_order.id'], name=op.f('fk_bureau_file_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bureau_file'))
    )
    op.create_index(op.f('ix_bureau_file_at'), 'bureau_file', ['at'], unique=False)
    op.create_index(op.f('ix_bureau_file_bureau_id'), 'bureau_file', ['bureau_id'], unique=False)
    op.create_index(op.f('ix_bureau_file_order_id'), 'bureau_file', ['order_id'], unique=False)
    op.create_index('uq_bureau_file_taken', 'bureau_file', ['sha256'], unique=True, sqlite_where=sa.text("outcome = 'TAKEN'"), postgresql_where=sa.text("outcome = 'TAKEN'"))
    op.create_table('bureau_key',
    sa.Column('digest', sa.String(length=64), nullable=False, comment='SHA-256 of the public key, hex'),
    sa.Column('card_id', sa.Integer(), nullable=False),
    sa.Column('slot', sa.String(length=40), nullable=False),
    sa.ForeignKeyConstraint(['card_id'], ['card.id'], name=op.f('fk_bureau_key_card_id')),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_bureau_key'))
    )
    op.create_index(op.f('ix_bureau_key_card_id'), 'bureau_key', ['card_id'], unique=False)
    op.create_table('bureau_card',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('order_id', sa.Integer(), nullable=False),
    sa.Column('card_id', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('chip_id', sa.String(length=20), nullable=True, comment='chip that it was made on'),
    sa.Column('consignment_id', sa.Integer(), nullable=True),
    sa.Column('reason', sa.String(length=500), nullable=True, comment='why it was rejected'),
    sa.CheckConstraint("state IN ('ORDERED', 'MADE', 'ANSWERED', 'FINISHED', 'REJECTED', 'RECALLED')", name=op.f('ck_bureau_card_state')),
    sa.ForeignKeyConstraint(['card_id'], ['card.id'], name=op.f('fk_bureau_card_card_id')),
    sa.ForeignKeyConstraint(['consignment_id'], ['bureau_consignment.id'], name=op.f('fk_bureau_card_consignment_id')),
    sa.ForeignKeyConstraint(['order_id'], ['bureau_order.id'], name=op.f('fk_bureau_card_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bureau_card')),
    sa.UniqueConstraint('order_id', 'card_id', name=op.f('uq_bureau_card_order_id_card_id'))
    )
    op.create_index(op.f('ix_bureau_card_card_id'), 'bureau_card', ['card_id'], unique=False)
    op.create_index(op.f('ix_bureau_card_consignment_id'), 'bureau_card', ['consignment_id'], unique=False)
    op.create_index('ix_bureau_card_order_id_state', 'bureau_card', ['order_id', 'state'], unique=False)
    for statement in create_guards(op.get_bind().dialect.name, GUARDED):
        op.execute(sa.text(statement.replace(':', chr(92) + ':')))


def downgrade() -> None:
    for statement in drop_guards(op.get_bind().dialect.name, GUARDED):
        op.execute(statement)
    for table in reversed(TABLES):
        op.drop_table(table)
