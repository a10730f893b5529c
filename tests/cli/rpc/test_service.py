"""Finding the app that a user names, and saying why there is none."""

from pathlib import Path

import pytest

from batchway.cli.rpc.service import load_app
from batchway.errors import ConfigError
from batchway.rpc import RpcApp


def test_an_app_of_the_current_directory(service: Path) -> None:
    app = load_app("deskservice:app")
    assert isinstance(app, RpcApp)
    assert load_app("deskservice") is app
    assert load_app("deskservice:Inner.app") is app


def test_an_app_in_a_package(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "rpc.py").write_text("from batchway.rpc import RpcApp\nservice = RpcApp()\n")
    assert isinstance(load_app("shop.rpc:service"), RpcApp)


def test_another_profile(service: Path) -> None:
    assert load_app("deskservice:app", "sajya").limits.max_items == 30
    assert load_app("deskservice:app").limits.max_items == 100


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("", ": expected MODULE:APP, such as myservice:app"),
        ("a b", "a b: expected MODULE:APP, such as myservice:app"),
        ("deskservice:", ""),
        (
            "deskservice.py",
            "deskservice.py: expected MODULE:APP, such as myservice:app: try deskservice:app",
        ),
        ("dir/deskservice.py:x", "such as myservice:app: try deskservice:x"),
        ("nosuch:app", "nosuch: there is no such module, neither here nor where Python looks"),
        ("nosuch.inner:app", "nosuch: there is no such module"),
        ("deskservice.inner:app", "deskservice.inner: "),
        ("deskservice:nope", "deskservice: there is no nope in it; an RpcApp is deskservice:app or desks"),
        ("deskservice:number", "deskservice:number: expected an RpcApp, got one of type int; an RpcApp is"),
    ],
)
def test_what_is_wrong_is_said(
    service: Path, capsys: pytest.CaptureFixture[str], target: str, complaint: str
) -> None:
    if not complaint:
        assert load_app(target)
        return
    with pytest.raises(ConfigError) as refused:
        load_app(target)
    assert complaint in refused.value.message
    assert capsys.readouterr().err == ""


def test_a_module_that_fails_shows_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "failing.py").write_text("def f():\n    return 1 / 0\nf()\n")
    with pytest.raises(ConfigError) as refused:
        load_app("failing:app")
    assert refused.value.message == "failing: it cannot be imported: ZeroDivisionError: division by zero"
    trace = capsys.readouterr().err
    assert 'failing.py", line 3' in trace
    assert 'failing.py", line 2' in trace
    assert "importlib" not in trace
    assert "service.py" not in trace


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("import nosuch_library", "ModuleNotFoundError: No module named 'nosuch_library'"),
        ("x = (", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_other_ways_to_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, complaint: str
) -> None:
    (tmp_path / "failing.py").write_text(code)
    with pytest.raises(ConfigError) as refused:
        load_app("failing:app")
    assert f"failing: it cannot be imported: {complaint}" in refused.value.message
    assert "failing.py" in capsys.readouterr().err


def test_an_app_that_cannot_be_made_says_so_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "failing.py").write_text("from batchway.rpc import RpcApp\napp = RpcApp(max_items=0)")
    with pytest.raises(ConfigError, match="failing: max_items: "):
        load_app("failing:app")
    assert capsys.readouterr().err == ""
