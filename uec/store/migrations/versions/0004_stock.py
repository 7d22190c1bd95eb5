"""Stock of blanks, its ledger, and quarantines; two more roles."""

import sqlalchemy as sa
from alembic import op

from uec.store.guards import create_guards, drop_guards
from uec.store.stock_guards import OUTSIDE_ID, OUTSIDE_KEY, create_stock_guards, drop_stock_guards

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

GUARDED = ('stock_transfer', 'stock_shift', 'stock_destruction', 'quarantine', 'stock_movement')
ROLES = ('OPERATOR', 'OFFICER', 'PLANNER', 'RELEASER', 'PRODUCER', 'SECURITY', 'AUDITOR', 'ADMIN')
ADDED = ('STOREKEEPER', 'QUALITY')


def upgrade() -> None:
    op.create_table('stock_store',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('code', sa.String(length=20), nullable=False, comment='short code staff use'),
    sa.Column('name', sa.String(length=120), nullable=False, comment='name staff use'),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('point_id', sa.Integer(), nullable=True, comment='store of it'),
    sa.Column('station_id', sa.Integer(), nullable=True, comment='store of a line'),
    sa.Column('enforced', sa.Boolean(), nullable=False, comment="no chip is written there that is not in the shift's stock"),
    sa.CheckConstraint("kind IN ('CENTRAL', 'POINT', 'LINE')", name=op.f('ck_stock_store_kind')),
    sa.ForeignKeyConstraint(['point_id'], ['issuance_point.id'], name=op.f('fk_stock_store_point_id')),
    sa.ForeignKeyConstraint(['station_id'], ['station.id'], name=op.f('fk_stock_store_station_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_stock_store')),
    sa.UniqueConstraint('code', name=op.f('uq_stock_store_code')),
    sa.UniqueConstraint('point_id', name=op.f('uq_stock_store_point_id')),
    sa.UniqueConstraint('station_id', name=op.f('uq_stock_store_station_id'))
    )
    op.create_table('stock_delivery',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('maker', sa.String(length=120), nullable=False, comment='who made the blanks'),
    sa.Column('note', sa.String(length=60), nullable=False, comment="number of the maker's delivery note"),
    sa.Column('profile', sa.String(length=40), nullable=False, comment='card profile the blanks are for'),
    sa.Column('transport_version', sa.Integer(), nullable=False, comment='version of the transport key set in the vault'),
    sa.Column('diversification', sa.String(length=20), nullable=False, comment="how a blank's keys derive, like kdf3"),
    sa.Column('check_value', sa.String(length=16), nullable=False, comment="check value of the key set, as in the maker's letter"),
    sa.Column('store_id', sa.Integer(), nullable=False, comment='where it was taken in'),
    sa.Column('boxes', sa.Integer(), nullable=False, comment='boxes in it'),
    sa.Column('blanks', sa.Integer(), nullable=False, comment='blanks in it'),
    sa.Column('received_by', sa.Integer(), nullable=True),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['received_by'], ['staff.id'], name=op.f('fk_stock_delivery_received_by')),
    sa.ForeignKeyConstraint(['store_id'], ['stock_store.id'], name=op.f('fk_stock_delivery_store_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_stock_delivery')),
    sa.UniqueConstraint('maker', 'note', name=op.f('uq_stock_delivery_maker_note'))
    )
    op.create_index(op.f('ix_stock_delivery_received_by'), 'stock_delivery', ['received_by'], unique=False)
    op.create_index(op.f('ix_stock_delivery_store_id'), 'stock_delivery', ['store_id'], unique=False)
    op.create_table('stock_box',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('number', sa.String(length=40), nullable=False, comment='number on the box'),
    sa.Column('delivery_id', sa.Integer(), nullable=False),
    sa.Column('blanks', sa.Integer(), nullable=False, comment='blanks it came with'),
    sa.ForeignKeyConstraint(['delivery_id'], ['stock_delivery.id'], name=op.f('fk_stock_box_delivery_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_stock_box')),
    sa.UniqueConstraint('number', name=op.f('uq_stock_box_number'))
    )
    op.create_index(op.f('ix_stock_box_delivery_id'), 'stock_box', ['delivery_id'], unique=False)
    op.create_table('stock_transfer',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('number', sa.String(length=30), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('giver_id', sa.Integer(), nullable=False, comment='store that sent it'),
    sa.Column('taker_id', sa.Integer(), nullable=False, comment='store it is meant for'),
    sa.Column('seal', sa.String(length=60), nullable=False, comment='number of the seal put on'),
    sa.Column('blanks', sa.Integer(), nullable=False, comment='blanks sent'),
    sa.Column('sent_by', sa.Integer(), nullable=True),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('received_by', sa.Integer(), nullable=True, comment='another person'),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('seal_found', sa.String(length=60), nullable=True, comment='seal as the receiver read it'),
    sa.Column('blanks_found', sa.Integer(), nullable=True, comment='blanks as the receiver counted them'),
    sa.Column('remark', sa.Text(), nullable=True, comment='what did not agree, and how it was settled'),
    sa.Column('version', sa.Integer(), nullable=False, comment='optimistic lock'),
    sa.CheckConstraint("state IN ('SENT', 'RECEIVED', 'DISPUTED', 'SETTLED', 'RECALLED')", name=op.f('ck_stock_transfer_state')),
    sa.CheckConstraint('blanks > 0', name=op.f('ck_stock_transfer_blanks')),
    sa.CheckConstraint('giver_id <> taker_id', name=op.f('ck_stock_transfer_two_stores')),
    sa.ForeignKeyConstraint(['giver_id'], ['stock_store.id'], name=op.f('fk_stock_transfer_giver_id')),
    sa.ForeignKeyConstraint(['received_by'], ['staff.id'], name=op.f('fk_stock_transfer_received_by')),
    sa.ForeignKeyConstraint(['sent_by'], ['staff.id'], name=op.f('fk_stock_transfer_sent_by')),
    sa.ForeignKeyConstraint(['taker_id'], ['stock_store.id'], name=op.f('fk_stock_transfer_taker_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_stock_transfer')),
    sa.UniqueConstraint('number', name=op.f('uq_stock_transfer_number'))
    )
    op.create_index(op.f('ix_stock_transfer_giver_id'), 'stock_transfer', ['giver_id'], unique=False)
    op.create_index(op.f('ix_stock_transfer_received_by'), 'stock_transfer', ['received_by'], unique=False)
    op.create_index(op.f('ix_stock_transfer_sent_by'), 'stock_transfer', ['sent_by'], unique=False)
    op.create_index(op.f('ix_stock_transfer_state'), 'stock_transfer', ['state'], unique=False)
    op.create_index(op.f('ix_stock_transfer_taker_id'), 'stock_transfer', ['taker_id'], unique=False)
    op.create_table('stock_shift',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('number', sa.String(length=30), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('store_id', sa.Integer(), nullable=False, comment='where its blanks are from'),
    sa.Column('station_id', sa.Integer(), nullable=True, comment='empty: in no station'),
    sa.Column('operator_id', sa.Integer(), nullable=True, comment='who answers for it'),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_by', sa.Integer(), nullable=True),
    sa.Column('version', sa.Integer(), nullable=False, comment='optimistic lock'),
    sa.CheckConstraint("state IN ('OPEN', 'CLOSED')", name=op.f('ck_stock_shift_state')),
    sa.ForeignKeyConstraint(['closed_by'], ['staff.id'], name=op.f('fk_stock_shift_closed_by')),
    sa.ForeignKeyConstraint(['operator_id'], ['staff.id'], name=op.f('fk_stock_shift_operator_id')),
    sa.ForeignKeyConstraint(['station_id'], ['station.id'], name=op.f('fk_stock_shift_station_id')),
    sa.ForeignKeyConstraint(['store_id'], ['stock_store.id'], name=op.f('fk_stock_shift_store_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_stock_shift')),
    sa.UniqueConstraint('number', name=op.f('uq_stock_shift_number'))
    )
    op.create_index(op.f('ix_stock_shift_closed_by'), 'stock_shift', ['closed_by'], unique=False)
    op.create_index(op.f('ix_stock_shift_operator_id'), 'stock_shift', ['operator_id'], unique=False)
    op.create_index(op.f('ix_stock_shift_state'), 'stock_shift', ['state'], unique=False)
    op.create_index(op.f('ix_stock_shift_station_id'), 'stock_shift', ['station_id'], unique=False)
    op.create_index(op.f('ix_stock_shift_store_id'), 'stock_shift', ['store_id'], unique=False)
    op.create_index('uq_stock_shift_open_operator', 'stock_shift', ['operator_id'], unique=True, sqlite_where=sa.text("state = 'OPEN'"), postgresql_where=sa.text("state = 'OPEN'"))
    op.create_index('uq_stock_shift_open_station', 'stock_shift', ['station_id'], unique=True, sqlite_where=sa.text("state = 'OPEN'"), postgresql_where=sa.text("state = 'OPEN'"))
    op.create_index('uq_stock_shift_open_store', 'stock_shift', ['store_id'], unique=True, sqlite_where=sa.text("state = 'OPEN' AND station_id IS NULL"), postgresql_where=sa.text("state = 'OPEN' AND station_id IS NULL"))
    op.create_table('stock_destruction',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('number', sa.String(length=30), nullable=False, comment='number of the act'),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('store_id', sa.Integer(), nullable=False, comment='where the cards lay'),
    sa.Column('method', sa.String(length=120), nullable=False, comment='how they are destroyed'),
    sa.Column('blanks', sa.Integer(), nullable=False, comment='cards and blanks in the act'),
    sa.Column('proposed_by', sa.Integer(), nullable=True),
    sa.Column('proposed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_by', sa.Integer(), nullable=True, comment='another person'),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('version', sa.Integer(), nullable=False, comment='optimistic lock'),
    sa.CheckConstraint("state IN ('PROPOSED', 'DONE', 'WITHDRAWN')", name=op.f('ck_stock_destruction_state')),
    sa.ForeignKeyConstraint(['ended_by'], ['staff.id'], name=op.f('fk_stock_destruction_ended_by')),
    sa.ForeignKeyConstraint(['proposed_by'], ['staff.id'], name=op.f('fk_stock_destruction_proposed_by')),
    sa.ForeignKeyConstraint(['store_id'], ['stock_store.id'], name=op.f('fk_stock_destruction_store_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_stock_destruction')),
    sa.UniqueConstraint('number', name=op.f('uq_stock_destruction_number'))
    )
    op.create_index(op.f('ix_stock_destruction_ended_by'), 'stock_destruction', ['ended_by'], unique=False)
    op.create_index(op.f('ix_stock_destruction_proposed_by'), 'stock_destruction', ['proposed_by'], unique=False)
    op.create_index(op.f('ix_stock_destruction_state'), 'stock_destruction', ['state'], unique=False)
    op.create_index(op.f('ix_stock_destruction_store_id'), 'stock_destruction', ['store_id'], unique=False)
    op.create_table('stock_account',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(length=40), nullable=False, comment='kind and owner, like HAND:shift:7'),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('store_id', sa.Integer(), nullable=True, comment='whose balance'),
    sa.Column('shift_id', sa.Integer(), nullable=True),
    sa.Column('transfer_id', sa.Integer(), nullable=True),
    sa.Column('destruction_id', sa.Integer(), nullable=True),
    sa.CheckConstraint("kind IN ('OUTSIDE', 'STORE', 'TRANSIT', 'HAND', 'WORK', 'UNFINISHED', 'GOOD', 'SPOILED', 'HANDED_IN', 'DOOMED', 'DESTROYED', 'MISSING')", name=op.f('ck_stock_account_kind')),
    sa.ForeignKeyConstraint(['destruction_id'], ['stock_destruction.id'], name=op.f('fk_stock_account_destruction_id')),
    sa.ForeignKeyConstraint(['shift_id'], ['stock_shift.id'], name=op.f('fk_stock_account_shift_id')),
    sa.ForeignKeyConstraint(['store_id'], ['stock_store.id'], name=op.f('fk_stock_account_store_id')),
    sa.ForeignKeyConstraint(['transfer_id'], ['stock_transfer.id'], name=op.f('fk_stock_account_transfer_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_stock_account')),
    sa.UniqueConstraint('key', name=op.f('uq_stock_account_key'))
    )
    op.create_index(op.f('ix_stock_account_destruction_id'), 'stock_account', ['destruction_id'], unique=False)
    op.create_index(op.f('ix_stock_account_kind'), 'stock_account', ['kind'], unique=False)
    op.create_index(op.f('ix_stock_account_shift_id'), 'stock_account', ['shift_id'], unique=False)
    op.create_index(op.f('ix_stock_account_store_id'), 'stock_account', ['store_id'], unique=False)
    op.create_index(op.f('ix_stock_account_transfer_id'), 'stock_account', ['transfer_id'], unique=False)
    op.create_table('stock_holding',
    sa.Column('lot', sa.String(length=12), nullable=False, comment='fabricator, type, batch of the chips, hex'),
    sa.Column('first', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False, comment='first serial number'),
    sa.Column('last', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False, comment='last serial number'),
    sa.Column('box_id', sa.Integer(), nullable=True, comment='empty: came in as a card'),
    sa.Column('account_id', sa.Integer(), nullable=False),
    sa.CheckConstraint('first >= 0 AND last >= first', name=op.f('ck_stock_holding_range')),
    sa.ForeignKeyConstraint(['account_id'], ['stock_account.id'], name=op.f('fk_stock_holding_account_id')),
    sa.ForeignKeyConstraint(['box_id'], ['stock_box.id'], name=op.f('fk_stock_holding_box_id')),
    sa.PrimaryKeyConstraint('lot', 'first', name=op.f('pk_stock_holding'))
    )
    op.create_index('ix_stock_holding_account_id', 'stock_holding', ['account_id'], unique=False)
    op.create_index('ix_stock_holding_box_id', 'stock_holding', ['box_id'], unique=False)
    op.create_table('stock_movement',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('actor', sa.String(length=80), nullable=False, comment='like staff:7'),
    sa.Column('motion', sa.String(length=20), nullable=False),
    sa.Column('lot', sa.String(length=12), nullable=False),
    sa.Column('first', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('last', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('blanks', sa.Integer(), nullable=False, comment='how many: last - first + 1'),
    sa.Column('box_id', sa.Integer(), nullable=True),
    sa.Column('giver_id', sa.Integer(), nullable=False, comment='account it leaves'),
    sa.Column('taker_id', sa.Integer(), nullable=False, comment='account it enters'),
    sa.Column('card_id', sa.Integer(), nullable=True, comment='card the blank became'),
    sa.Column('reason', sa.String(length=500), nullable=True, comment='why it was spoiled, missing, handed in...'),
    sa.CheckConstraint("motion IN ('DELIVER', 'RETURN_TO_MAKER', 'SEND', 'RECEIVE', 'RECALL', 'ISSUE', 'GIVE_BACK', 'CLAIM', 'SET_ASIDE', 'MAKE', 'SPOIL', 'HAND_IN', 'DOOM', 'SPARE', 'SPARE_CARD', 'DESTROY', 'MISS', 'FIND')", name=op.f('ck_stock_movement_motion')),
    sa.CheckConstraint('first >= 0 AND last >= first AND blanks = last - first + 1', name=op.f('ck_stock_movement_range')),
    sa.CheckConstraint('giver_id <> taker_id', name=op.f('ck_stock_movement_two_accounts')),
    sa.ForeignKeyConstraint(['box_id'], ['stock_box.id'], name=op.f('fk_stock_movement_box_id')),
    sa.ForeignKeyConstraint(['card_id'], ['card.id'], name=op.f('fk_stock_movement_card_id')),
    sa.ForeignKeyConstraint(['giver_id'], ['stock_account.id'], name=op.f('fk_stock_movement_giver_id')),
    sa.ForeignKeyConstraint(['taker_id'], ['stock_account.id'], name=op.f('fk_stock_movement_taker_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_stock_movement'))
    )
    op.create_index(op.f('ix_stock_movement_box_id'), 'stock_movement', ['box_id'], unique=False)
    op.create_index(op.f('ix_stock_movement_card_id'), 'stock_movement', ['card_id'], unique=False)
    op.create_index(op.f('ix_stock_movement_giver_id'), 'stock_movement', ['giver_id'], unique=False)
    op.create_index('ix_stock_movement_lot_first', 'stock_movement', ['lot', 'first'], unique=False)
    op.create_index(op.f('ix_stock_movement_taker_id'), 'stock_movement', ['taker_id'], unique=False)
    op.create_table('operation_place',
    sa.Column('operation_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('station_id', sa.Integer(), nullable=False),
    sa.Column('reader', sa.String(length=200), nullable=False),
    sa.ForeignKeyConstraint(['operation_id'], ['card_operation.id'], name=op.f('fk_operation_place_operation_id')),
    sa.ForeignKeyConstraint(['station_id'], ['station.id'], name=op.f('fk_operation_place_station_id')),
    sa.PrimaryKeyConstraint('operation_id', name=op.f('pk_operation_place'))
    )
    op.create_index(op.f('ix_operation_place_station_id'), 'operation_place', ['station_id'], unique=False)
    op.create_table('quarantine',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('subject', sa.String(length=220), nullable=False, comment='station id, station id:reader, lot, or staff id'),
    sa.Column('label', sa.String(length=300), nullable=False, comment='name shown to people'),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('imposed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('imposed_by', sa.Integer(), nullable=True, comment='empty: the rule'),
    sa.Column('reason', sa.String(length=500), nullable=False, comment='why, in a sentence'),
    sa.Column('evidence', sa.JSON(), nullable=False, comment='counts, band, rule, and which operations failed how'),
    sa.Column('released_by', sa.Integer(), nullable=True),
    sa.Column('released_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('release_reason', sa.String(length=500), nullable=True),
    sa.Column('counted_to', sa.Integer(), nullable=False, comment='operations up to this id count no more after the release'),
    sa.Column('version', sa.Integer(), nullable=False, comment='optimistic lock'),
    sa.CheckConstraint("kind IN ('READER', 'STATION', 'LOT', 'OPERATOR')", name=op.f('ck_quarantine_kind')),
    sa.CheckConstraint("state IN ('IMPOSED', 'RELEASED')", name=op.f('ck_quarantine_state')),
    sa.ForeignKeyConstraint(['imposed_by'], ['staff.id'], name=op.f('fk_quarantine_imposed_by')),
    sa.ForeignKeyConstraint(['released_by'], ['staff.id'], name=op.f('fk_quarantine_released_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_quarantine'))
    )
    op.create_index(op.f('ix_quarantine_imposed_by'), 'quarantine', ['imposed_by'], unique=False)
    op.create_index(op.f('ix_quarantine_released_by'), 'quarantine', ['released_by'], unique=False)
    op.create_index('uq_quarantine_imposed', 'quarantine', ['kind', 'subject'], unique=True, sqlite_where=sa.text("state = 'IMPOSED'"), postgresql_where=sa.text("state = 'IMPOSED'"))
    accounts = sa.table('stock_account', sa.column('id'), sa.column('key'), sa.column('kind'))
    op.bulk_insert(accounts, [{'id': OUTSIDE_ID, 'key': OUTSIDE_KEY, 'kind': OUTSIDE_KEY}])
    dialect = op.get_bind().dialect.name
    if dialect == 'postgresql':
        op.execute(sa.text("SELECT setval(pg_get_serial_sequence('stock_account', 'id'), 1)"))
    for statement in (*create_guards(dialect, GUARDED), *create_stock_guards(dialect)):
        op.execute(sa.text(statement.replace(':', chr(92) + ':')))
    _allow_roles((*ROLES, *ADDED))


def downgrade() -> None:
    op.execute("DELETE FROM staff_role WHERE role IN ('STOREKEEPER', 'QUALITY')")
    _allow_roles(ROLES)
    dialect = op.get_bind().dialect.name
    for statement in (*drop_stock_guards(dialect), *drop_guards(dialect, GUARDED)):
        op.execute(statement)
    op.drop_table('quarantine')
    op.drop_table('operation_place')
    op.drop_table('stock_movement')
    op.drop_table('stock_holding')
    op.drop_table('stock_account')
    op.drop_table('stock_destruction')
    op.drop_table('stock_shift')
    op.drop_table('stock_transfer')
    op.drop_table('stock_box')
    op.drop_table('stock_delivery')
    op.drop_table('stock_store')


def _allow_roles(roles: tuple[str, ...]) -> None:
    check = 'role IN (' + ', '.join(f"'{role}'" for role in roles) + ')'
    if op.get_bind().dialect.name == 'postgresql':
        op.drop_constraint(op.f('ck_staff_role_role'), 'staff_role')
        op.create_check_constraint(op.f('ck_staff_role_role'), 'staff_role', check)
        return
    # SQLite changes no constraint: the table is made anew beside, and takes the place of the old one.
    op.create_table(
        'staff_role_new',
        sa.Column('staff_id', sa.Integer(), nullable=False),
        sa.Column('role', sa.String(length=20), nullable=False),
        sa.CheckConstraint(check, name=op.f('ck_staff_role_role')),
        sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('fk_staff_role_staff_id')),
        sa.PrimaryKeyConstraint('staff_id', 'role', name=op.f('pk_staff_role')),
    )
    op.execute('INSERT INTO staff_role_new (staff_id, role) SELECT staff_id, role FROM staff_role')
    op.drop_table('staff_role')
    op.rename_table('staff_role_new', 'staff_role')
