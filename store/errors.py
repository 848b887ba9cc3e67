"""What can go wrong in a way that the person at the screen can mend.

    UserError                     a full sentence: the value, the rule, the way out
    ├── InputError                a value or a file that was given is not usable
    ├── NotFoundError             the named thing is not here
    ├── ConflictError             somebody or something was there first
    ├── RefusedError              allowed for others, or elsewhere, but not here
    └── StorageError              the disk or the database said no

Everything else is a bug and travels as the exception that it is.
"""


class UserError(Exception):
    """A problem that the person at the screen can mend; its text is shown as it is."""


class InputError(UserError):
    """A value or a file that was given is not usable."""


class NotFoundError(UserError):
    """The named thing is not here."""


class ConflictError(UserError):
    """Somebody or something was there first."""


class RefusedError(UserError):
    """Not permitted to this person or in this place."""


class StorageError(UserError):
    """The disk or the database said no."""
