"""First tables of the office, the guards of their states, and the empty audit chains."""

import sqlalchemy as sa
from alembic import op

from uec.store.guards import create_guards, drop_guards

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('audit_chain',
    sa.Column('chain', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False, comment='entries so far'),
    sa.Column('hash', sa.LargeBinary(), nullable=False, comment='hash of the last entry'),
    sa.PrimaryKeyConstraint('chain', name=op.f('pk_audit_chain'))
    )
    op.create_table('audit_entry',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('chain', sa.Integer(), nullable=False, comment='0..7, by the hash of the subject'),
    sa.Column('seq', sa.BigInteger(), nullable=False, comment='1, 2, 3... in the chain'),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False, comment='moment of the change'),
    sa.Column('actor', sa.String(length=80), nullable=False, comment='like staff:7'),
    sa.Column('action', sa.String(length=60), nullable=False, comment='like application.approve'),
    sa.Column('subject_kind', sa.String(length=40), nullable=False, comment='what was changed or looked at'),
    sa.Column('subject_id', sa.String(length=64), nullable=False),
    sa.Column('person_id', sa.Integer(), nullable=True, comment='resident whose record it touches'),
    sa.Column('details', sa.JSON(), nullable=False, comment='facts, never a secret'),
    sa.Column('previous_hash', sa.LargeBinary(), nullable=False, comment='hash of the entry before, 32 zero bytes for the first'),
    sa.Column('hash', sa.LargeBinary(), nullable=False, comment='SHA-256 over the canonical form'),
    sa.CheckConstraint('chain BETWEEN 0 AND 7', name=op.f('ck_audit_entry_chain')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_entry')),
    sa.UniqueConstraint('chain', 'seq', name=op.f('uq_audit_entry_chain_seq'))
    )
    op.create_index(op.f('ix_audit_entry_person_id'), 'audit_entry', ['person_id'], unique=False)
    op.create_table('audit_head',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('heads', sa.JSON(), nullable=False, comment='for each chain: number, entries, hash in hex'),
    sa.Column('root', sa.LargeBinary(), nullable=False, comment='SHA-256 over the heads; what is signed stands on it'),
    sa.Column('signature', sa.LargeBinary(), nullable=False, comment='ECDSA, DER'),
    sa.Column('key_version', sa.Integer(), nullable=False, comment='version of the AUDIT key in the vault'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_head'))
    )
    op.create_table('crl',
    sa.Column('issuer', sa.String(length=20), nullable=False, comment='issuing or root'),
    sa.Column('number', sa.Integer(), autoincrement=False, nullable=False, comment='CRL number, rising'),
    sa.Column('der', sa.LargeBinary(), nullable=False),
    sa.Column('this_update', sa.DateTime(timezone=True), nullable=False),
    sa.Column('next_update', sa.DateTime(timezone=True), nullable=False),
    sa.Column('entries', sa.Integer(), nullable=False, comment='revoked certificates in it'),
    sa.PrimaryKeyConstraint('issuer', 'number', name=op.f('pk_crl'))
    )
    op.create_table('hub_instance',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_key', sa.LargeBinary(), nullable=False, comment='key the web process seals PINs to'),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('heartbeat_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hub_instance'))
    )
    op.create_index(op.f('ix_hub_instance_heartbeat_at'), 'hub_instance', ['heartbeat_at'], unique=False)
    op.create_table('municipality',
    sa.Column('oktmo', sa.String(length=11), nullable=False, comment='8 or 11 digits of the OKTMO classifier'),
    sa.Column('name_ru', sa.String(length=200), nullable=False, comment='name in Russian'),
    sa.Column('name_en', sa.String(length=200), nullable=False, comment='name in English'),
    sa.PrimaryKeyConstraint('oktmo', name=op.f('pk_municipality'))
    )
    op.create_table('number_series',
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('next', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_number_series'))
    )
    op.create_table('register_import',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('file_digest', sa.String(length=64), nullable=False, comment='SHA-256 of the file, hex'),
    sa.Column('file_name', sa.String(length=255), nullable=False, comment='name of the file without its folder'),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False, comment='start'),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True, comment='end; empty for a run that did not end'),
    sa.Column('rows', sa.Integer(), nullable=False, comment='data rows read'),
    sa.Column('imported', sa.Integer(), nullable=False, comment='new residents'),
    sa.Column('updated', sa.Integer(), nullable=False, comment='changed residents'),
    sa.Column('unchanged', sa.Integer(), nullable=False, comment='rows equal to what is known'),
    sa.Column('rejected', sa.Integer(), nullable=False, comment='rows in the reject file'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_register_import'))
    )
    op.create_index(op.f('ix_register_import_file_digest'), 'register_import', ['file_digest'], unique=False)
    op.create_table('scheduled_run',
    sa.Column('job', sa.String(length=60), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('outcome', sa.Text(), nullable=True, comment='what it did, or its error'),
    sa.PrimaryKeyConstraint('job', 'due_at', name=op.f('pk_scheduled_run'))
    )
    op.create_table('stop_list_entry',
    sa.Column('seq', sa.Integer(), nullable=False, comment='position in the stop-list, rising'),
    sa.Column('card_number', sa.String(length=19), nullable=False),
    sa.Column('action', sa.String(length=6), nullable=False, comment='ADD or REMOVE'),
    sa.Column('reason', sa.String(length=40), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("action IN ('ADD', 'REMOVE')", name=op.f('ck_stop_list_entry_action')),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_stop_list_entry'))
    )
    op.create_index(op.f('ix_stop_list_entry_card_number'), 'stop_list_entry', ['card_number'], unique=False)
    op.create_table('stop_list_snapshot',
    sa.Column('number', sa.Integer(), autoincrement=False, nullable=False, comment='rising'),
    sa.Column('last_seq', sa.Integer(), nullable=False, comment='last change included'),
    sa.Column('cards', sa.Integer(), nullable=False, comment='cards on it'),
    sa.Column('content', sa.LargeBinary(), nullable=False, comment='signed file as published'),
    sa.Column('published_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_stop_list_snapshot'))
    )
    op.create_table('issuance_point',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('code', sa.String(length=20), nullable=False, comment='short code staff use'),
    sa.Column('name_ru', sa.String(length=200), nullable=False, comment='name in Russian'),
    sa.Column('name_en', sa.String(length=200), nullable=False, comment='name in English'),
    sa.Column('address', sa.String(length=400), nullable=False, comment='address for visitors'),
    sa.Column('oktmo', sa.String(length=11), nullable=False, comment='municipality it serves'),
    sa.Column('windows', sa.Integer(), nullable=False, comment='windows open on a working day'),
    sa.Column('daily_capacity', sa.Integer(), nullable=False, comment='cards it can hand over a working day'),
    sa.ForeignKeyConstraint(['oktmo'], ['municipality.oktmo'], name=op.f('fk_issuance_point_oktmo')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_issuance_point')),
    sa.UniqueConstraint('code', name=op.f('uq_issuance_point_code'))
    )
    op.create_index(op.f('ix_issuance_point_oktmo'), 'issuance_point', ['oktmo'], unique=False)
    op.create_table('resident',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('register_id', sa.String(length=64), nullable=False, comment='key of the register, for updates'),
    sa.Column('surname', sa.String(length=100), nullable=False, comment='surname'),
    sa.Column('name', sa.String(length=100), nullable=False, comment='given name'),
    sa.Column('patronymic', sa.String(length=100), nullable=True, comment='patronymic, if any'),
    sa.Column('birth_date', sa.Date(), nullable=False, comment='date of birth'),
    sa.Column('birth_place', sa.String(length=255), nullable=False, comment='place of birth, as in the document'),
    sa.Column('sex', sa.String(length=1), nullable=False, comment='M or F'),
    sa.Column('snils', sa.String(length=11), nullable=False, comment='11 digits'),
    sa.Column('oms', sa.String(length=16), nullable=True, comment='unified number of the OMS policy, 16 digits'),
    sa.Column('doc_type', sa.String(length=20), nullable=False, comment='passport or birth_certificate'),
    sa.Column('doc_series', sa.String(length=12), nullable=False, comment='4 digits, or like II-ИК'),
    sa.Column('doc_number', sa.String(length=6), nullable=False, comment='6 digits'),
    sa.Column('doc_date', sa.Date(), nullable=False, comment='date of issue'),
    sa.Column('doc_issuer', sa.String(length=255), nullable=False, comment='who issued it'),
    sa.Column('oktmo', sa.String(length=11), nullable=False, comment='municipality of residence'),
    sa.Column('fias', sa.String(length=36), nullable=True, comment='address object id, a UUID'),
    sa.Column('address', sa.String(length=400), nullable=False, comment='address of residence'),
    sa.Column('phone', sa.String(length=16), nullable=True, comment='E.164'),
    sa.Column('email', sa.String(length=254), nullable=True, comment='e-mail'),
    sa.Column('death_date', sa.Date(), nullable=True, comment='date of death'),
    sa.Column('row_digest', sa.LargeBinary(), nullable=False, comment='digest of the checked row: equal means unchanged'),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False, comment='moment of the import that last changed the row'),
    sa.Column('import_id', sa.Integer(), nullable=False, comment='that import'),
    sa.CheckConstraint("sex IN ('M', 'F')", name=op.f('ck_resident_sex')),
    sa.ForeignKeyConstraint(['import_id'], ['register_import.id'], name=op.f('fk_resident_import_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_resident')),
    sa.UniqueConstraint('register_id', name=op.f('uq_resident_register_id'))
    )
    op.create_index(op.f('ix_resident_import_id'), 'resident', ['import_id'], unique=False)
    op.create_index(op.f('ix_resident_oktmo'), 'resident', ['oktmo'], unique=False)
    op.create_index(op.f('ix_resident_snils'), 'resident', ['snils'], unique=False)
    op.create_table('refusal',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('number', sa.String(length=30), nullable=False, comment='number of the written confirmation'),
    sa.Column('resident_id', sa.Integer(), nullable=True, comment='when recognised'),
    sa.Column('snils', sa.String(length=11), nullable=False, comment='11 digits'),
    sa.Column('channel', sa.String(length=20), nullable=False, comment='how it came: web, window, post...'),
    sa.Column('filed_at', sa.DateTime(timezone=True), nullable=False, comment='when it was filed'),
    sa.Column('note', sa.Text(), nullable=True, comment='what the clerk added'),
    sa.ForeignKeyConstraint(['resident_id'], ['resident.id'], name=op.f('fk_refusal_resident_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_refusal')),
    sa.UniqueConstraint('number', name=op.f('uq_refusal_number'))
    )
    op.create_index(op.f('ix_refusal_resident_id'), 'refusal', ['resident_id'], unique=False)
    op.create_index(op.f('ix_refusal_snils'), 'refusal', ['snils'], unique=False)
    op.create_table('staff',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('login', sa.String(length=60), nullable=False, comment='lower case'),
    sa.Column('display_name', sa.String(length=120), nullable=False, comment='name shown on pages and in reports'),
    sa.Column('password_hash', sa.String(length=300), nullable=False, comment='scrypt, with its parameters and salt'),
    sa.Column('point_id', sa.Integer(), nullable=True, comment='place of work'),
    sa.Column('active', sa.Boolean(), nullable=False, comment='may sign in'),
    sa.Column('failed_sign_ins', sa.Integer(), nullable=False, comment='in a row, since the last good one'),
    sa.Column('locked_until', sa.DateTime(timezone=True), nullable=True, comment='no sign-in before this moment'),
    sa.ForeignKeyConstraint(['point_id'], ['issuance_point.id'], name=op.f('fk_staff_point_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_staff')),
    sa.UniqueConstraint('login', name=op.f('uq_staff_login'))
    )
    op.create_index(op.f('ix_staff_point_id'), 'staff', ['point_id'], unique=False)
    op.create_table('station',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False, comment='name staff use'),
    sa.Column('point_id', sa.Integer(), nullable=True),
    sa.Column('public_key', sa.LargeBinary(), nullable=True, comment='SPKI DER, once enrolled'),
    sa.Column('enrolment_code_hash', sa.String(length=200), nullable=True, comment='hash of the one-time code'),
    sa.Column('enrolment_expires_at', sa.DateTime(timezone=True), nullable=True, comment='end of the one-time code'),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True, comment='no connection after this moment'),
    sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=True, comment='last sign of life'),
    sa.Column('readers', sa.JSON(), nullable=False, comment='readers with card presence, as last reported'),
    sa.ForeignKeyConstraint(['point_id'], ['issuance_point.id'], name=op.f('fk_station_point_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_station')),
    sa.UniqueConstraint('name', name=op.f('uq_station_name'))
    )
    op.create_index(op.f('ix_station_point_id'), 'station', ['point_id'], unique=False)
    op.create_table('batch',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('number', sa.String(length=30), nullable=False, comment='number of the batch'),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('planned_for', sa.Date(), nullable=False, comment='day of production'),
    sa.Column('point_id', sa.Integer(), nullable=False, comment='destination'),
    sa.Column('profile', sa.String(length=40), nullable=False, comment='card profile'),
    sa.Column('transport', sa.String(length=20), nullable=False, comment='pcsc or in-process'),
    sa.Column('planned_by', sa.Integer(), nullable=True, comment='empty: the scheduler'),
    sa.Column('planned_at', sa.DateTime(timezone=True), nullable=False, comment='when it was planned'),
    sa.Column('released_by', sa.Integer(), nullable=True, comment='another person'),
    sa.Column('released_at', sa.DateTime(timezone=True), nullable=True, comment='when it was released'),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True, comment='when the last card was done'),
    sa.Column('version', sa.Integer(), nullable=False, comment='optimistic lock'),
    sa.CheckConstraint("state IN ('PLANNED', 'RELEASED', 'IN_PRODUCTION', 'CLOSED', 'CANCELLED')", name=op.f('ck_batch_state')),
    sa.ForeignKeyConstraint(['planned_by'], ['staff.id'], name=op.f('fk_batch_planned_by')),
    sa.ForeignKeyConstraint(['point_id'], ['issuance_point.id'], name=op.f('fk_batch_point_id')),
    sa.ForeignKeyConstraint(['released_by'], ['staff.id'], name=op.f('fk_batch_released_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_batch')),
    sa.UniqueConstraint('number', name=op.f('uq_batch_number'))
    )
    op.create_index(op.f('ix_batch_planned_by'), 'batch', ['planned_by'], unique=False)
    op.create_index('ix_batch_planned_for_point_id', 'batch', ['planned_for', 'point_id'], unique=False)
    op.create_index(op.f('ix_batch_point_id'), 'batch', ['point_id'], unique=False)
    op.create_index(op.f('ix_batch_released_by'), 'batch', ['released_by'], unique=False)
    op.create_index(op.f('ix_batch_state'), 'batch', ['state'], unique=False)
    op.create_table('cohort',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('number', sa.String(length=30), nullable=False, comment='number of the list'),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('as_of', sa.Date(), nullable=False, comment='the day whose register and policy it was computed by'),
    sa.Column('count', sa.Integer(), nullable=False, comment='members'),
    sa.Column('digest', sa.String(length=64), nullable=False, comment='Merkle root over the members, hex'),
    sa.Column('proposed_by', sa.Integer(), nullable=True, comment='who proposed it'),
    sa.Column('approved_by', sa.Integer(), nullable=True, comment='another person'),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False, comment='when it was computed'),
    sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True, comment='when it was approved'),
    sa.CheckConstraint("state IN ('DRAFT', 'PROPOSED', 'APPROVED', 'VOID')", name=op.f('ck_cohort_state')),
    sa.ForeignKeyConstraint(['approved_by'], ['staff.id'], name=op.f('fk_cohort_approved_by')),
    sa.ForeignKeyConstraint(['proposed_by'], ['staff.id'], name=op.f('fk_cohort_proposed_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_cohort')),
    sa.UniqueConstraint('number', name=op.f('uq_cohort_number'))
    )
    op.create_index(op.f('ix_cohort_approved_by'), 'cohort', ['approved_by'], unique=False)
    op.create_index(op.f('ix_cohort_proposed_by'), 'cohort', ['proposed_by'], unique=False)
    op.create_index(op.f('ix_cohort_state'), 'cohort', ['state'], unique=False)
    op.create_table('staff_role',
    sa.Column('staff_id', sa.Integer(), nullable=False),
    sa.Column('role', sa.String(length=20), nullable=False),
    sa.CheckConstraint("role IN ('OPERATOR', 'OFFICER', 'PLANNER', 'RELEASER', 'PRODUCER', 'SECURITY', 'AUDITOR', 'ADMIN')", name=op.f('ck_staff_role_role')),
    sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('fk_staff_role_staff_id')),
    sa.PrimaryKeyConstraint('staff_id', 'role', name=op.f('pk_staff_role'))
    )
    op.create_table('application',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('number', sa.String(length=30), nullable=False, comment='number on the receipt'),
    sa.Column('route', sa.String(length=20), nullable=False, comment='how it came in'),
    sa.Column('reason', sa.String(length=20), nullable=False, comment='why a card is asked for'),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('resident_id', sa.Integer(), nullable=True, comment='when recognised'),
    sa.Column('surname', sa.String(length=100), nullable=False, comment='surname'),
    sa.Column('name', sa.String(length=100), nullable=False, comment='given name'),
    sa.Column('patronymic', sa.String(length=100), nullable=True, comment='patronymic, if any'),
    sa.Column('birth_date', sa.Date(), nullable=False, comment='date of birth'),
    sa.Column('birth_place', sa.String(length=255), nullable=False, comment='place of birth'),
    sa.Column('sex', sa.String(length=1), nullable=False, comment='M or F'),
    sa.Column('snils', sa.String(length=11), nullable=False, comment='11 digits'),
    sa.Column('oms', sa.String(length=16), nullable=True, comment='unified number of the OMS policy'),
    sa.Column('doc_type', sa.String(length=20), nullable=False, comment='passport or birth_certificate'),
    sa.Column('doc_series', sa.String(length=12), nullable=False, comment='4 digits, or like II-ИК'),
    sa.Column('doc_number', sa.String(length=6), nullable=False, comment='6 digits'),
    sa.Column('doc_date', sa.Date(), nullable=False, comment='date of issue'),
    sa.Column('doc_issuer', sa.String(length=255), nullable=False, comment='who issued it'),
    sa.Column('address', sa.String(length=400), nullable=False, comment='address of residence'),
    sa.Column('phone', sa.String(length=16), nullable=True, comment='E.164'),
    sa.Column('email', sa.String(length=254), nullable=True, comment='e-mail'),
    sa.Column('bank', sa.String(length=120), nullable=True, comment='bank chosen; empty means the default bank'),
    sa.Column('point_id', sa.Integer(), nullable=False, comment='where it is handed over'),
    sa.Column('photo', sa.LargeBinary(), nullable=True, comment='JPEG, application route only'),
    sa.Column('representative_name', sa.String(length=300), nullable=True, comment='legal representative, under 14'),
    sa.Column('secret_hash', sa.String(length=200), nullable=False, comment='hash of the secret on the receipt'),
    sa.Column('submitted_at', sa.DateTime(timezone=True), nullable=False, comment='date of registration'),
    sa.Column('due_on', sa.Date(), nullable=False, comment='last day of the 30-day clock'),
    sa.Column('taken_by', sa.Integer(), nullable=True, comment='operator who took it'),
    sa.Column('decided_by', sa.Integer(), nullable=True, comment='officer who decided'),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True, comment='moment of the decision'),
    sa.Column('decision_reason', sa.Text(), nullable=True, comment='reason of the decision, shown to the citizen'),
    sa.Column('replaces_card_id', sa.Integer(), nullable=True, comment='card this request replaces'),
    sa.Column('cohort_id', sa.Integer(), nullable=True, comment='mass emission list'),
    sa.Column('remake', sa.Boolean(), nullable=False, comment='a card of it was spoiled: ahead of new orders'),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True, comment='handed over, rejected or withdrawn'),
    sa.Column('version', sa.Integer(), nullable=False, comment='optimistic lock'),
    sa.CheckConstraint("reason IN ('FIRST', 'DUPLICATE', 'REPLACEMENT', 'RENEWAL')", name=op.f('ck_application_reason')),
    sa.CheckConstraint("route IN ('WEB', 'WINDOW', 'MASS')", name=op.f('ck_application_route')),
    sa.CheckConstraint("sex IN ('M', 'F')", name=op.f('ck_application_sex')),
    sa.CheckConstraint("state IN ('SUBMITTED', 'CHECKING', 'CHECKED', 'CHECK_FAILED', 'APPROVED', 'REJECTED', 'PLANNED', 'IN_PRODUCTION', 'READY', 'CLOSED', 'WITHDRAWN')", name=op.f('ck_application_state')),
    sa.ForeignKeyConstraint(['cohort_id'], ['cohort.id'], name=op.f('fk_application_cohort_id')),
    sa.ForeignKeyConstraint(['decided_by'], ['staff.id'], name=op.f('fk_application_decided_by')),
    sa.ForeignKeyConstraint(['point_id'], ['issuance_point.id'], name=op.f('fk_application_point_id')),
    sa.ForeignKeyConstraint(['replaces_card_id'], ['card.id'], name=op.f('fk_application_replaces_card_id'), use_alter=True),
    sa.ForeignKeyConstraint(['resident_id'], ['resident.id'], name=op.f('fk_application_resident_id')),
    sa.ForeignKeyConstraint(['taken_by'], ['staff.id'], name=op.f('fk_application_taken_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_application')),
    sa.UniqueConstraint('number', name=op.f('uq_application_number'))
    )
    op.create_index(op.f('ix_application_cohort_id'), 'application', ['cohort_id'], unique=False)
    op.create_index(op.f('ix_application_decided_by'), 'application', ['decided_by'], unique=False)
    op.create_index(op.f('ix_application_point_id'), 'application', ['point_id'], unique=False)
    op.create_index(op.f('ix_application_replaces_card_id'), 'application', ['replaces_card_id'], unique=False)
    op.create_index(op.f('ix_application_resident_id'), 'application', ['resident_id'], unique=False)
    op.create_index(op.f('ix_application_snils'), 'application', ['snils'], unique=False)
    op.create_index('ix_application_state_due_on', 'application', ['state', 'due_on'], unique=False)
    op.create_index(op.f('ix_application_taken_by'), 'application', ['taken_by'], unique=False)
    op.create_table('cohort_member',
    sa.Column('cohort_id', sa.Integer(), nullable=False),
    sa.Column('resident_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['cohort_id'], ['cohort.id'], name=op.f('fk_cohort_member_cohort_id')),
    sa.ForeignKeyConstraint(['resident_id'], ['resident.id'], name=op.f('fk_cohort_member_resident_id')),
    sa.PrimaryKeyConstraint('cohort_id', 'resident_id', name=op.f('pk_cohort_member'))
    )
    op.create_index(op.f('ix_cohort_member_resident_id'), 'cohort_member', ['resident_id'], unique=False)
    op.create_table('card',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('number', sa.String(length=19), nullable=False, comment='card number with its Luhn digit'),
    sa.Column('application_id', sa.Integer(), nullable=False),
    sa.Column('batch_id', sa.Integer(), nullable=False),
    sa.Column('resident_id', sa.Integer(), nullable=True),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('profile', sa.String(length=40), nullable=False, comment='card profile'),
    sa.Column('printed_name', sa.String(length=80), nullable=False, comment='Latin letters, ICAO 9303'),
    sa.Column('chip_id', sa.String(length=40), nullable=True, comment='from the CPLC, hex; unique among live cards'),
    sa.Column('kvn', sa.Integer(), nullable=True, comment='key version number on the chip, as last proven'),
    sa.Column('key_version', sa.Integer(), nullable=True, comment="version of the master the chip's keys derive from"),
    sa.Column('expires_on', sa.Date(), nullable=False, comment='last day of validity'),
    sa.Column('personalised_at', sa.DateTime(timezone=True), nullable=True, comment='moment of the inspection that proved it'),
    sa.Column('activated_at', sa.DateTime(timezone=True), nullable=True, comment='moment of the hand-over'),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True, comment='lost, annulled, replaced, expired or spoiled'),
    sa.Column('replaces_card_id', sa.Integer(), nullable=True, comment='its predecessor'),
    sa.Column('version', sa.Integer(), nullable=False, comment='optimistic lock'),
    sa.CheckConstraint("state IN ('PLANNED', 'PREPARED', 'WRITING', 'PERSONALISED', 'ACTIVE', 'SUSPENDED', 'LOST', 'ANNULLED', 'REPLACED', 'EXPIRED', 'SPOILED', 'DESTROYED')", name=op.f('ck_card_state')),
    sa.ForeignKeyConstraint(['application_id'], ['application.id'], name=op.f('fk_card_application_id')),
    sa.ForeignKeyConstraint(['batch_id'], ['batch.id'], name=op.f('fk_card_batch_id')),
    sa.ForeignKeyConstraint(['replaces_card_id'], ['card.id'], name=op.f('fk_card_replaces_card_id')),
    sa.ForeignKeyConstraint(['resident_id'], ['resident.id'], name=op.f('fk_card_resident_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_card')),
    sa.UniqueConstraint('number', name=op.f('uq_card_number'))
    )
    op.create_index(op.f('ix_card_application_id'), 'card', ['application_id'], unique=False)
    op.create_index(op.f('ix_card_batch_id'), 'card', ['batch_id'], unique=False)
    op.create_index(op.f('ix_card_replaces_card_id'), 'card', ['replaces_card_id'], unique=False)
    op.create_index(op.f('ix_card_resident_id'), 'card', ['resident_id'], unique=False)
    op.create_index(op.f('ix_card_state'), 'card', ['state'], unique=False)
    op.create_index('uq_card_current_application', 'card', ['application_id'], unique=True, sqlite_where=sa.text("state IN ('PLANNED', 'PREPARED', 'WRITING', 'PERSONALISED', 'ACTIVE', 'SUSPENDED')"), postgresql_where=sa.text("state IN ('PLANNED', 'PREPARED', 'WRITING', 'PERSONALISED', 'ACTIVE', 'SUSPENDED')"))
    op.create_index('uq_card_live_chip', 'card', ['chip_id'], unique=True, sqlite_where=sa.text("state NOT IN ('SPOILED', 'DESTROYED')"), postgresql_where=sa.text("state NOT IN ('SPOILED', 'DESTROYED')"))
    op.create_table('notice',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('application_id', sa.Integer(), nullable=False),
    sa.Column('channel', sa.String(length=20), nullable=False, comment='email, sms or page'),
    sa.Column('kind', sa.String(length=40), nullable=False, comment='template'),
    sa.Column('text', sa.Text(), nullable=False, comment='text as sent'),
    sa.Column('queued_at', sa.DateTime(timezone=True), nullable=False, comment='when it was queued'),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True, comment='when it went out'),
    sa.ForeignKeyConstraint(['application_id'], ['application.id'], name=op.f('fk_notice_application_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notice'))
    )
    op.create_index(op.f('ix_notice_application_id'), 'notice', ['application_id'], unique=False)
    op.create_index('ix_notice_sent_at_queued_at', 'notice', ['sent_at', 'queued_at'], unique=False)
    op.create_table('register_check',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('application_id', sa.Integer(), nullable=False),
    sa.Column('register', sa.String(length=20), nullable=False, comment='which register'),
    sa.Column('outcome', sa.String(length=20), nullable=False),
    sa.Column('detail', sa.Text(), nullable=True, comment='what the register added'),
    sa.Column('attempts', sa.Integer(), nullable=False, comment='questions asked so far'),
    sa.Column('next_attempt_at', sa.DateTime(timezone=True), nullable=True, comment='not before; empty when answered'),
    sa.Column('answered_at', sa.DateTime(timezone=True), nullable=True, comment='moment of match or mismatch'),
    sa.CheckConstraint("outcome IN ('PENDING', 'MATCH', 'MISMATCH', 'UNAVAILABLE')", name=op.f('ck_register_check_outcome')),
    sa.CheckConstraint("register IN ('SNILS', 'PASSPORT', 'RESIDENCE', 'OMS')", name=op.f('ck_register_check_register')),
    sa.ForeignKeyConstraint(['application_id'], ['application.id'], name=op.f('fk_register_check_application_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_register_check')),
    sa.UniqueConstraint('application_id', 'register', name=op.f('uq_register_check_application_id_register'))
    )
    op.create_index('ix_register_check_outcome_next_attempt_at', 'register_check', ['outcome', 'next_attempt_at'], unique=False)
    op.create_table('card_data',
    sa.Column('card_id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False, comment='DG1..DG4 or another file of the profile'),
    sa.Column('content', sa.LargeBinary(), nullable=False, comment='bytes that go to the card'),
    sa.Column('digest', sa.LargeBinary(), nullable=False, comment='SHA-256 of the content'),
    sa.ForeignKeyConstraint(['card_id'], ['card.id'], name=op.f('fk_card_data_card_id')),
    sa.PrimaryKeyConstraint('card_id', 'kind', name=op.f('pk_card_data'))
    )
    op.create_table('card_operation',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False, comment='what to do'),
    sa.Column('card_id', sa.Integer(), nullable=True, comment='empty: read any card'),
    sa.Column('station_id', sa.Integer(), nullable=True, comment='empty: any station'),
    sa.Column('reader', sa.String(length=200), nullable=True, comment='reader of the station; empty: the first with a card'),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('requested_by', sa.Integer(), nullable=True),
    sa.Column('requested_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('progress', sa.JSON(), nullable=True, comment='step, of, label'),
    sa.Column('result', sa.JSON(), nullable=True, comment='what the card said, in the end'),
    sa.Column('error_code', sa.String(length=80), nullable=True, comment='stable code of the error'),
    sa.Column('error_text', sa.Text(), nullable=True, comment='sentence for the person at the window'),
    sa.Column('sealed_pins', sa.LargeBinary(), nullable=True, comment="PINs sealed to the hub's key; wiped at the end"),
    sa.Column('version', sa.Integer(), nullable=False, comment='optimistic lock'),
    sa.CheckConstraint("kind IN ('PERSONALISE', 'INSPECT', 'HAND_OVER', 'READ')", name=op.f('ck_card_operation_kind')),
    sa.CheckConstraint("state IN ('REQUESTED', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED')", name=op.f('ck_card_operation_state')),
    sa.ForeignKeyConstraint(['card_id'], ['card.id'], name=op.f('fk_card_operation_card_id')),
    sa.ForeignKeyConstraint(['requested_by'], ['staff.id'], name=op.f('fk_card_operation_requested_by')),
    sa.ForeignKeyConstraint(['station_id'], ['station.id'], name=op.f('fk_card_operation_station_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_card_operation'))
    )
    op.create_index(op.f('ix_card_operation_card_id'), 'card_operation', ['card_id'], unique=False)
    op.create_index(op.f('ix_card_operation_requested_by'), 'card_operation', ['requested_by'], unique=False)
    op.create_index('ix_card_operation_state_station_id', 'card_operation', ['state', 'station_id'], unique=False)
    op.create_index(op.f('ix_card_operation_station_id'), 'card_operation', ['station_id'], unique=False)
    op.create_table('certificate',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('card_id', sa.Integer(), nullable=True, comment='empty: not on a card'),
    sa.Column('profile', sa.String(length=40), nullable=False, comment='certificate profile'),
    sa.Column('serial', sa.String(length=40), nullable=False, comment='hex, without leading zeros'),
    sa.Column('tbs_digest', sa.String(length=64), nullable=False, comment='SHA-256 of what was intended to be signed, hex'),
    sa.Column('public_key_digest', sa.String(length=64), nullable=False, comment='SHA-256 of the SPKI, hex'),
    sa.Column('subject', sa.String(length=400), nullable=False, comment='RFC 4514'),
    sa.Column('not_before', sa.DateTime(timezone=True), nullable=False),
    sa.Column('not_after', sa.DateTime(timezone=True), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('der', sa.LargeBinary(), nullable=True, comment='empty until issued'),
    sa.Column('intended_at', sa.DateTime(timezone=True), nullable=False, comment='stored before anything is signed'),
    sa.Column('issued_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('INTENDED', 'ISSUED', 'HELD', 'REVOKED')", name=op.f('ck_certificate_state')),
    sa.ForeignKeyConstraint(['card_id'], ['card.id'], name=op.f('fk_certificate_card_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_certificate')),
    sa.UniqueConstraint('public_key_digest', 'profile', name=op.f('uq_certificate_public_key_digest_profile')),
    sa.UniqueConstraint('serial', name=op.f('uq_certificate_serial'))
    )
    op.create_index(op.f('ix_certificate_card_id'), 'certificate', ['card_id'], unique=False)
    op.create_index(op.f('ix_certificate_not_after'), 'certificate', ['not_after'], unique=False)
    op.create_index(op.f('ix_certificate_state'), 'certificate', ['state'], unique=False)
    op.create_table('journal_entry',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('card_id', sa.Integer(), nullable=False),
    sa.Column('operation_id', sa.Integer(), nullable=True),
    sa.Column('seq', sa.Integer(), nullable=False, comment='1, 2, 3... for a card'),
    sa.Column('kind', sa.String(length=40), nullable=False, comment='what is recorded'),
    sa.Column('facts', sa.JSON(), nullable=False, comment='never a key, never a PIN'),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['card_id'], ['card.id'], name=op.f('fk_journal_entry_card_id')),
    sa.ForeignKeyConstraint(['operation_id'], ['card_operation.id'], name=op.f('fk_journal_entry_operation_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_journal_entry')),
    sa.UniqueConstraint('card_id', 'seq', name=op.f('uq_journal_entry_card_id_seq'))
    )
    op.create_index(op.f('ix_journal_entry_operation_id'), 'journal_entry', ['operation_id'], unique=False)
    op.create_table('revocation',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('certificate_id', sa.Integer(), nullable=False),
    sa.Column('reason', sa.String(length=40), nullable=False, comment='CRLReason of RFC 5280, like certificateHold'),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('lifted_at', sa.DateTime(timezone=True), nullable=True, comment='end of a hold'),
    sa.Column('entry_der', sa.LargeBinary(), nullable=False, comment='entry of the CRL, ready to splice'),
    sa.ForeignKeyConstraint(['certificate_id'], ['certificate.id'], name=op.f('fk_revocation_certificate_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_revocation'))
    )
    op.create_index(op.f('ix_revocation_certificate_id'), 'revocation', ['certificate_id'], unique=False)
    op.create_index('uq_revocation_open', 'revocation', ['certificate_id'], unique=True, sqlite_where=sa.text('lifted_at IS NULL'), postgresql_where=sa.text('lifted_at IS NULL'))
    # The request and the card name each other: SQLite takes the forward reference, PostgreSQL wants it afterwards.
    if op.get_bind().dialect.name == 'postgresql':
        op.create_foreign_key(op.f('fk_application_replaces_card_id'), 'application', 'card', ['replaces_card_id'], ['id'])
    chains = sa.table('audit_chain', sa.column('chain'), sa.column('seq'), sa.column('hash', sa.LargeBinary))
    op.bulk_insert(chains, [{'chain': chain, 'seq': 0, 'hash': bytes(32)} for chain in range(8)])
    for statement in create_guards(op.get_bind().dialect.name):
        op.execute(sa.text(statement.replace(':', chr(92) + ':')))


def downgrade() -> None:
    for statement in drop_guards(op.get_bind().dialect.name):
        op.execute(statement)
    if op.get_bind().dialect.name == 'postgresql':
        op.drop_constraint(op.f('fk_application_replaces_card_id'), 'application')
    op.drop_table('revocation')
    op.drop_table('journal_entry')
    op.drop_table('certificate')
    op.drop_table('card_operation')
    op.drop_table('card_data')
    op.drop_table('register_check')
    op.drop_table('notice')
    op.drop_table('card')
    op.drop_table('cohort_member')
    op.drop_table('application')
    op.drop_table('staff_role')
    op.drop_table('cohort')
    op.drop_table('batch')
    op.drop_table('station')
    op.drop_table('staff')
    op.drop_table('refusal')
    op.drop_table('resident')
    op.drop_table('issuance_point')
    op.drop_table('stop_list_snapshot')
    op.drop_table('stop_list_entry')
    op.drop_table('scheduled_run')
    op.drop_table('register_import')
    op.drop_table('number_series')
    op.drop_table('municipality')
    op.drop_table('hub_instance')
    op.drop_table('crl')
    op.drop_table('audit_head')
    op.drop_table('audit_entry')
    op.drop_table('audit_chain')
