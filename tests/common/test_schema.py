from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from mrvae_zoo.common.schema import from_mapping, to_plain


@dataclass(frozen=True, kw_only=True)
class Inner:
    pair: tuple[int, float] = (1, 2.0)

    def __post_init__(self):
        if self.pair[0] < 0:
            raise ValueError(f"pair={self.pair} should not be negative")


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int
    ratio: float = 0.5
    name: str = "x"
    flag: bool = False
    kind: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = ()
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)
    free: dict[str, Any] = field(default_factory=dict)
    several: tuple[Inner, ...] = ()


def test_lists_become_tuples_integers_floats_and_tables_records():
    data = {
        "count": 3, "ratio": 1, "sizes": [1, 2], "limit": None, "inner": {"pair": [1, 2]}, "free": {"k": [1]},
        "several": [{"pair": [4, 5]}],
    }  # fmt: skip
    got = from_mapping(Outer, data, where="file")
    expected = {"count": 3, "ratio": 1.0, "sizes": (1, 2), "inner": Inner(pair=(1, 2.0)), "free": {"k": [1]}}
    assert got == Outer(**expected, several=(Inner(pair=(4, 5.0)),))
    assert isinstance(got.ratio, float)
    assert isinstance(got.inner.pair[1], float)
    assert from_mapping(Outer, to_plain(got), where="file") == got


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "file: count is missing"),
        ({"count": 1, "ration": 2}, "file: unknown key ration; did you mean ratio?"),
        ({"count": "1"}, "file: count='1' should be an integer"),
        ({"count": True}, "file: count=True should be an integer"),
        ({"count": 1.0}, "file: count=1.0 should be an integer"),
        ({"count": 1, "ratio": "x"}, "file: ratio='x' should be a number"),
        ({"count": 1, "ratio": 10**400}, "file: ratio is too large for a number"),
        ({"count": 1, "flag": 1}, "file: flag=1 should be true or false"),
        ({"count": 1, "name": None}, "file: name=None should be a string"),
        ({"count": 1, "kind": "c"}, "file: kind='c' is not one of 'a', 'b'"),
        ({"count": 1, "sizes": 3}, "file: sizes=3 should be a list of an integer"),
        ({"count": 1, "sizes": [1, "2"]}, "file: sizes[1]='2' should be an integer"),
        ({"count": 1, "limit": "x"}, "file: limit='x' should be an integer"),
        ({"count": 1, "inner": 5}, "file: inner=5 should be a table"),
        ({"count": 1, "inner": {"pair": [1]}}, "file: inner.pair=[1] should be a list of 2 (an integer, a number)"),
        ({"count": 1, "inner": {"pear": [1]}}, "file: unknown key inner.pear; did you mean pair?"),
        ({"count": 1, "inner": {"pair": [-1, 1]}}, "file: inner.pair=(-1, 1.0) should not be negative"),
        ({"count": 1, "free": [1]}, "file: free=[1] should be a table"),
    ],
)
def test_what_is_wrong_is_named(data, message):
    with pytest.raises(ValueError, match="^file: ") as error:
        from_mapping(Outer, data, where="file")
    assert str(error.value) == message
