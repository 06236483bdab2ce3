"""The metadata of every table: importing this module imports each domain's ``models.py``."""

import importlib.util
import pkgutil

import gql_trader
import gql_trader.infra.outbox
from gql_trader.infra.database import Base

for _package in pkgutil.iter_modules(gql_trader.__path__):
    if _package.ispkg and importlib.util.find_spec(f"gql_trader.{_package.name}.models") is not None:
        importlib.import_module(f"gql_trader.{_package.name}.models")

metadata = Base.metadata
