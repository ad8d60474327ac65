import pytest
from dying_photos import DYING

from transforms.loaders import LoaderPool


@pytest.fixture(scope="module")
def pool():
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(DYING)  # the loaders inherit the path
    pool = LoaderPool(2)
    yield pool
    pool.close()
    patch.undo()
