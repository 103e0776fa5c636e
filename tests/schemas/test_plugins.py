"""Plug-ins and ids."""

from __future__ import annotations

import pytest

from invdpo.schemas import PluginError
from invdpo.schemas.ids import canonical_json, content_id, derived_seed
from invdpo.schemas.plugins import Registry, require


def test_an_unknown_name_lists_the_valid_ones() -> None:
    registry: Registry[int] = Registry("scorer")
    registry.register("clip")(1)
    registry.register("aesthetic")(2)
    assert registry["clip"] == 1
    with pytest.raises(PluginError, match=r"^Unknown scorer 'clop'. Known: aesthetic, clip\.$"):
        registry["clop"]


def test_a_missing_package_names_its_extra() -> None:
    with pytest.raises(PluginError, match=r"pip install 'invdpo\[ray\]'"):
        require("a_package_that_nobody_has", "ray", "The engine `ray`")
    require("json", "ray", "The engine `ray`")


def test_ids_depend_on_content_alone() -> None:
    assert content_id({"a": 1, "b": "é"}) == content_id({"b": "é", "a": 1})
    assert content_id(1, 2) != content_id([1, 2])
    assert content_id("a") == "0eb5b8d6f81bc677da8a08567cc4fa9a"
    assert canonical_json({"b": [1, None], "a": "é"}) == '{"a":"é","b":[1,null]}'


def test_seeds_fit_a_signed_64_bit_column() -> None:
    assert derived_seed("a", 1) == 697930202312019326
    seeds = {derived_seed("candidate", n) for n in range(200)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)
