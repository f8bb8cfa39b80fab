from tests.scripts.conftest import caption_file, packages  # noqa: F401 -- fixtures
