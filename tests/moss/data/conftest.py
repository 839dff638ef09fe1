"""The example set and a copy of it, as the validator's tests have them."""

from tests.schemas.conftest import folder, good  # noqa: F401 - fixtures
