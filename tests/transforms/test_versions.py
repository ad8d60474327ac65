import pytest

from transforms.versions import VersionsDiffer, check_versions, versions_here


def test_the_same_versions_pass():
    assert versions_here().keys() == {"python", "apache-beam", "beam-gradcam"}
    check_versions(dict(versions_here()))


@pytest.mark.parametrize("name", ["python", "apache-beam", "beam-gradcam"])
def test_another_version_is_named_with_both_sides_and_the_remedy(name):
    here = versions_here()[name]
    with pytest.raises(VersionsDiffer) as raised:
        check_versions({**versions_here(), name: "0.1"})
    assert f"has {name} {here}, the launcher has 0.1. Install the launcher's wheel" in str(raised.value)
