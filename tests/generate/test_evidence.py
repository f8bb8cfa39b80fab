import numpy as np
import pytest
from safetensors import SafetensorError

from dsfactory.generate.evidence import Evidence


def evidence() -> Evidence:
    maps = np.random.default_rng(0).random((2, 12, 8)).astype(np.float16)
    return Evidence({(12, 8): maps, (6, 4): maps[:, ::2, ::2]}, {(12, 8): maps[::-1]})


def test_bytes_hold_every_map():
    read = Evidence.from_bytes(evidence().to_bytes())
    for kind in ("cross", "affinity"):
        written, found = getattr(evidence(), kind), getattr(read, kind)
        assert found.keys() == written.keys()
        for grid, maps in written.items():
            assert found[grid].dtype == np.float16
            np.testing.assert_array_equal(found[grid], maps)


def test_equal_maps_give_equal_bytes_in_any_order():
    maps = evidence()
    turned = Evidence(dict(reversed(maps.cross.items())), maps.affinity)
    assert turned.to_bytes() == maps.to_bytes()


def test_other_bytes_are_refused():
    with pytest.raises(SafetensorError):
        Evidence.from_bytes(b"\x80\x04not a safetensors file")
