import pytest

from tests.pipeline.storage import emulators


@pytest.fixture(scope="module", params=emulators.KINDS)
def store(request):
    """The URL of a bucket in an emulator."""
    with pytest.MonkeyPatch.context() as patch, emulators.emulator(request.param) as environment:
        for name, value in environment.items():
            patch.setenv(name, value)
        emulators.forget_clients()
        yield f"{request.param}://bucket"
        emulators.forget_clients()
