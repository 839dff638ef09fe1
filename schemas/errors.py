"""The one error that a person may see: a sentence that says what is wrong and what to do."""


class UserError(Exception):
    """Something the user can mend: bad config, missing corpus, dead server. The commands print it and exit with 2."""
