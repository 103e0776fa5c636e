"""Colour profiles that are none, or that lead nowhere: the image is shown plainly."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

from invdpo.schemas.io.colours import _managed, clean_profile


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    "profile",
    [None, b"", b"\0\0\0\x10" + b"x" * 12, srgb()[:40]],
    ids=["none", "empty", "other bytes", "cut short"],
)
def test_what_is_no_profile(profile: bytes | None) -> None:
    assert clean_profile(profile) is None


def test_what_is_appended_to_a_profile_is_left_out() -> None:
    assert clean_profile(srgb() + b"anything") == srgb()


def test_a_conversion_that_fails_leaves_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ImageCms.PyCMSError("cannot build transform")

    monkeypatch.setattr(ImageCms, "profileToProfile", fails)
    image = Image.new("RGB", (2, 1), (10, 20, 30))
    assert np.asarray(_managed(image, srgb())).tolist() == [[[10, 20, 30]] * 2]
