"""One process, or a supervisor with several: whichever the settings ask for."""

import os
from collections.abc import Callable
from tempfile import TemporaryDirectory

import uvloop

from batchway.config import Settings
from batchway.plugins.prometheus_metrics import SHARED_FOLDER
from batchway.server.cores import worker_count
from batchway.server.runtime import serve
from batchway.server.supervisor import supervise


def run(settings: Settings, reload: Callable[[], Settings], adopt: Callable[[Settings], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain. SIGHUP calls `reload` and goes on with its result.

    A second signal cuts the draining short. Where there are several workers, each is given the new
    settings by `adopt`, too. Raises BatchwayError for what keeps it from starting.
    """
    count = worker_count(settings)
    if count == 1:
        uvloop.run(serve(settings, reload))
    else:
        # Where the workers put their numbers. Before any of them counts: the library looks once.
        with TemporaryDirectory(prefix="batchway-metrics-") as folder:
            os.environ[SHARED_FOLDER] = folder
            supervise(settings, count, reload, adopt)
