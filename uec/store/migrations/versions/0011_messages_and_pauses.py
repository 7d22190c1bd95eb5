"""Messages to applicants as an outbox, pauses of jobs and runs asked for, attempts counted for all web processes."""

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nothing was ever written to it: its place is taken by the outbox.
    op.drop_index('ix_notice_sent_at_queued_at', table_name='notice')
    op.drop_index(op.f('ix_notice_application_id'), table_name='notice')
    op.drop_table('notice')
    op.create_table('message',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('application_id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=40), nullable=False, comment='template'),
    sa.Column('key', sa.String(length=120), nullable=False, comment='one message for each occasion'),
    sa.Column('channel', sa.String(length=20), nullable=False, comment='email, or page: on the status page only'),
    sa.Column('language', sa.String(length=5), nullable=False, comment='ru or en'),
    sa.Column('facts', sa.JSON(), nullable=False, comment='what the template names; never a secret'),
    sa.Column('queued_at', sa.DateTime(timezone=True), nullable=False, comment='when it was queued'),
    sa.Column('next_attempt_at', sa.DateTime(timezone=True), nullable=True, comment='not before; empty when it is over'),
    sa.Column('attempts', sa.Integer(), nullable=False, comment='tries to send it'),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True, comment='when the mail server took it'),
    sa.Column('failure', sa.String(length=200), nullable=True, comment='why the last try failed'),
    sa.ForeignKeyConstraint(['application_id'], ['application.id'], name=op.f('fk_message_application_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_message')),
    sa.UniqueConstraint('application_id', 'key', name=op.f('uq_message_application_id_key'))
    )
    op.create_index(op.f('ix_message_next_attempt_at'), 'message', ['next_attempt_at'], unique=False)
    op.create_table('job_pause',
    sa.Column('job', sa.String(length=60), nullable=False),
    sa.Column('paused_at', sa.DateTime(timezone=True), nullable=False, comment='since when'),
    sa.Column('paused_by', sa.String(length=80), nullable=False, comment='like staff:7'),
    sa.Column('reason', sa.String(length=200), nullable=False, comment='why'),
    sa.PrimaryKeyConstraint('job', name=op.f('pk_job_pause'))
    )
    op.create_table('attempt_window',
    sa.Column('name', sa.String(length=40), nullable=False, comment='what is tried'),
    sa.Column('sender', sa.String(length=64), nullable=False, comment='SHA-256 of who tries, keyed'),
    sa.Column('times', sa.JSON(), nullable=False, comment='seconds since 1970, the oldest first'),
    sa.Column('ends_at', sa.DateTime(timezone=True), nullable=False, comment='when nothing of it counts any more'),
    sa.PrimaryKeyConstraint('name', 'sender', name=op.f('pk_attempt_window'))
    )
    op.create_index(op.f('ix_attempt_window_ends_at'), 'attempt_window', ['ends_at'], unique=False)
    op.add_column('scheduled_run', sa.Column('asked_by', sa.String(length=80), nullable=True, comment='who asked for it out of its rhythm'))
    op.add_column('application', sa.Column('language', sa.String(length=5), nullable=True, comment='in which it was made; empty: that of the office'))
    op.add_column('public_notice', sa.Column('closing', sa.JSON(), nullable=True, comment='counts of refusals and choices when its windows had closed'))


def downgrade() -> None:
    op.drop_column('public_notice', 'closing')
    op.drop_column('application', 'language')
    op.drop_column('scheduled_run', 'asked_by')
    op.drop_index(op.f('ix_attempt_window_ends_at'), table_name='attempt_window')
    op.drop_table('attempt_window')
    op.drop_table('job_pause')
    op.drop_index(op.f('ix_message_next_attempt_at'), table_name='message')
    op.drop_table('message')
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
