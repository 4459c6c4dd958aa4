"""What a life of the daemon imports, imported before it begins: the process that lives are forked from loads this.

That process has one thread and runs nothing of what it has loaded, so that whoever is forked from it begins anew.
"""

import os
from importlib import import_module

from tests.e2e.process import environment

settled = environment()
os.environ.clear()
os.environ.update(settled)

for name in (
    "aiokafka",
    "daemon.commands.run",
    "daemon.service.attributing",
    "daemon.service.composition",
    "tests.campaigns.kills.fuses",
    "vaderSentiment.vaderSentiment",
):
    import_module(name)
