"""Models, weights and names in archives in a bucket, whose credentials and endpoint stand in ``storage`` alone."""

import io
import zipfile

import numpy as np
import pytest
import small_models

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

from s3_server import s3_server

from transforms.model.compile import compile_model
from transforms.model.compiled import load_compiled
from transforms.model.errors import ModelRefused
from transforms.model.load.class_names import read_class_names
from transforms.model.load.loaders import load_model
from transforms.model.load.source_digest import digest_source
from transforms.model.options import ModelOptions
from transforms.storage.storage import Storage

NAMES = ("ant", "bee", "cat", "dog", "emu")
FACTORY = "import small_models\n\ndef build():\n    return small_models.randomised(small_models.convolutional(), 5)\n"


@pytest.fixture(scope="module")
def s3():
    with s3_server("bucket") as app:
        options = {"key": "AKIASESAME0PEN", "secret": "open+sesame/secret", "client_kwargs": app.client_options()}
        app.storage = Storage({"s3": options})
        yield app


@pytest.fixture(autouse=True)
def _no_credentials_elsewhere(s3, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    s3.busy_every = 0


@pytest.fixture(scope="module")
def model(s3, tmp_path_factory):
    """A model, in a bucket within an archive: as a file, as a SavedModel, as weights; and the names of its classes."""
    folder = tmp_path_factory.mktemp("model")
    model = small_models.convolutional()
    model.save(folder / "m.keras")
    model.export(folder / "saved", verbose=False)
    model.save_weights(folder / "m.weights.h5")
    (folder / "names.txt").write_text("\n".join(NAMES))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.rglob("*"):
            file.write(path, path.relative_to(folder))
    s3.storage.put("s3://bucket/m.zip", archive.getvalue())
    return model


def scores(traced, images):
    from transforms.model.tensorflow import tf

    return traced.function(tf.constant(images, tf.float32))[0].numpy()


@pytest.mark.parametrize("name", [pytest.param("m.keras", marks=pytest.mark.slow), "saved"])
def test_a_model_in_an_archive_in_a_bucket(s3, model, name, tmp_path):
    options = ModelOptions(
        f"zip://{name}::s3://bucket/m.zip", class_names="zip://names.txt::s3://bucket/m.zip", preprocessing="none"
    )
    s3.busy_every = 7
    card = compile_model(options, "s3://bucket/models", s3.storage)
    assert compile_model(options, "s3://bucket/models", s3.storage) == card
    explained = load_compiled(f"s3://bucket/models/{card.fingerprint}", s3.storage, 2)
    images = small_models.images(2)
    found = explained.explain(images, np.array([[0], [1]], np.int32))
    np.testing.assert_allclose(
        found.probabilities, model(images.astype(np.float32), training=False), rtol=1e-4, atol=1e-6
    )
    assert card.class_names == NAMES


def test_weights_in_an_archive_in_a_bucket(s3, model, monkeypatch, tmp_path):
    (tmp_path / "weights_on_s3.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    options = ModelOptions(
        "weights_on_s3:build", weights="zip://m.weights.h5::s3://bucket/m.zip", preprocessing="none", class_names=None
    )
    images = small_models.images(2)
    np.testing.assert_allclose(
        scores(load_model(options, s3.storage), images), model(images.astype(np.float32), training=False), rtol=1e-5
    )


def test_an_exported_model_is_loaded_from_any_folder(s3, model, tmp_path):
    from transforms.model.compile import export_model

    model.save(tmp_path / "m.keras")
    options = ModelOptions(str(tmp_path / "m.keras"), preprocessing="none")
    export_model(options, "s3://bucket/by/hand", s3.storage)
    found = load_compiled("s3://bucket/by/hand", s3.storage, 1)
    images = small_models.images(1)
    np.testing.assert_allclose(
        found.explain(images, np.array([[0]], np.int32)).probabilities,
        model(images.astype(np.float32), training=False), rtol=1e-4, atol=1e-6,
    )  # fmt: skip


def test_without_the_options_of_the_inner_scheme_it_is_refused(s3, model):
    url = "zip://names.txt::s3://bucket/m.zip"
    assert read_class_names(url, s3.storage) == NAMES
    wrong = Storage({"zip": s3.storage.options["s3"], "s3": {"client_kwargs": s3.client_options(), "anon": False}})
    with pytest.raises(ModelRefused, match="cannot be read: NoCredentialsError"):
        digest_source(ModelOptions("zip://m.keras::s3://bucket/m.zip"), wrong)
    with pytest.raises(ModelRefused, match=r"the class names at zip://names\.txt.* cannot be read: NoCredentialsError"):
        read_class_names(url, wrong)
