"""Judge configurations by Freqtrade's own schema and checks; runs under a Python that has Freqtrade.

Reads one configuration a line from standard input and writes one verdict a line: what Freqtrade says
against it, or an empty line.
"""

import json
import sys
import types
from pathlib import Path

import freqtrade

# The package itself would import pandas and more, which its checks do not use.
package = types.ModuleType("freqtrade.configuration")
package.__path__ = [str(Path(freqtrade.__file__).parent / "configuration")]
sys.modules["freqtrade.configuration"] = package

from freqtrade.configuration.config_validation import validate_config_consistency  # noqa: E402
from freqtrade.enums import RunMode  # noqa: E402
from freqtrade.exceptions import ConfigurationError  # noqa: E402


def judge(config: dict[str, object]) -> str:
    """Return what Freqtrade says against a configuration; empty if nothing."""
    # What the strategy adds before this is checked, if the configuration leaves it open.
    config.setdefault("timeframe", "5m")
    for mode in (RunMode.DRY_RUN, RunMode.LIVE, RunMode.BACKTEST):
        try:
            validate_config_consistency({**config, "runmode": mode})
        except ConfigurationError as error:
            return f"{mode}: {error}".replace("\n", " ")
    return ""


print(freqtrade.__version__, flush=True)
for line in sys.stdin:
    print(judge(json.loads(line)), flush=True)
