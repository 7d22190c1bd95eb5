"""What a member of staff is asked for to sign in."""

from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired

from uec.web.forms.fields import PageForm
from uec.web.texts import _l


class SignInForm(PageForm):
    """Login and password."""

    login = StringField(_l("Login"), validators=[InputRequired(_l("Give your login"))])
    password = PasswordField(_l("Password"), validators=[InputRequired(_l("Give your password"))])
