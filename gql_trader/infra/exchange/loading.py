"""Load ccxt late, and only those of its hundred exchanges that are used.

``import ccxt.async_support`` takes 0.5 s and 96 MB, since both its packages import every exchange, twice.
The packages' own modules need no more of them than the errors and the base class. So here the packages are
put in place without running their ``__init__``, and what is asked of them is found when it is asked for:
one exchange then costs 0.2 s and 47 MB, most of it aiohttp, and each further one 1 MB. Should a version of
ccxt not stand it, everything is imported as usual.
"""

import functools
import importlib
import importlib.util
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import structlog

_log = structlog.get_logger(__name__)
_lock = threading.Lock()

_PACKAGE = "ccxt"
_ASYNC = "ccxt.async_support"
_PRO = "ccxt.pro"


def load_exchange(exchange: str) -> type[Any]:
    """Return ccxt's class of an exchange, for use with asyncio. Blocks; call it off the event loop.

    Raises
    ------
    LookupError
        If ccxt has none of this name.
    """
    with _lock:
        if _ASYNC not in sys.modules:
            _prepare()
        return _imported(exchange)


@functools.cache
def exchange_ids() -> frozenset[str]:
    """Return the ids of ccxt's exchanges, by the names of its files: without loading anything of it."""
    spec = importlib.util.find_spec(_PACKAGE)
    [directory] = (spec and spec.submodule_search_locations) or [""]
    files = Path(directory, _ASYNC.rpartition(".")[2]).glob("[a-z]*.py")
    return frozenset(each.stem for each in files)


def load_streaming(exchange: str) -> type[Any] | None:
    """Return ccxt's class of an exchange that also streams; None if ccxt has none.

    Blocks; call it off the event loop, and after `load_exchange`.
    """
    with _lock:
        if _PRO not in sys.modules:
            try:
                _put(_PRO, _of_pro)
            except (ImportError, AttributeError) as error:
                _log.warning("ccxt_streams_not_loaded", reason=str(error))
                return None
        try:
            return _imported(exchange, _PRO)
        except LookupError:
            return None


def load_errors() -> ModuleType:
    """Return ccxt's exceptions; an exchange must have been loaded before."""
    return importlib.import_module("ccxt.base.errors")


def _prepare() -> None:
    # At DEBUG ccxt logs requests with their keys and signatures.
    logging.getLogger(_PACKAGE).setLevel(logging.WARNING)
    try:
        _put(_PACKAGE, _of_base)
        _put(_ASYNC, _of_async)
        importlib.import_module("ccxt.async_support.base.exchange")
    except (ImportError, AttributeError) as error:
        _log.warning("ccxt_loaded_whole", reason=str(error))
        for name in [each for each in sys.modules if each == _PACKAGE or each.startswith(f"{_PACKAGE}.")]:
            del sys.modules[name]
        importlib.import_module(_ASYNC)


def _put(name: str, find: Callable[[str], Any]) -> None:
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ImportError(f"{name} is not installed")
    package = importlib.util.module_from_spec(spec)
    package.__dict__["__getattr__"] = find
    sys.modules[name] = package
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, package)


def _of_base(name: str) -> Any:
    if name in {"Exchange", "BaseExchange"}:
        return getattr(importlib.import_module("ccxt.base.exchange"), name)
    if name[:1].isupper():
        return getattr(importlib.import_module("ccxt.base.errors"), name)
    raise AttributeError(name)


def _of_async(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return _imported(name)
    except LookupError:
        raise AttributeError(name) from None


def _of_pro(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return _imported(name, _PRO)
    except LookupError:
        raise AttributeError(name) from None


def _imported(exchange: str, package_name: str = _ASYNC) -> type[Any]:
    module = f"{package_name}.{exchange}"
    if not exchange.isidentifier() or importlib.util.find_spec(module) is None:
        raise LookupError(f"ccxt knows no exchange {exchange}")
    found = vars(importlib.import_module(module)).get(exchange)
    if not isinstance(found, type):
        raise LookupError(f"ccxt knows no exchange {exchange}")
    # The package has the classes under the names of their modules; so do those that this one builds on.
    package = sys.modules[package_name]
    for name, value in list(vars(package).items()):
        if isinstance(value, ModuleType) and isinstance(vars(value).get(name), type):
            setattr(package, name, vars(value)[name])
    return found
