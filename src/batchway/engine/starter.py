"""Starting work that is not ours inline: its first step, too, runs in the task that it goes on in.

Code that asks for `asyncio.current_task()` before it first suspends (`asyncio.timeout`, `TaskGroup` and all
of anyio do) must find its own task there, or it would cancel the batch instead of itself. Python 3.12 has
eager tasks for this. On Python 3.11 one task stands by: work whose first step is its last leaves it to the
next, so that a batch in which nothing suspends costs one task at most.
"""

import asyncio
import sys
from collections.abc import Coroutine, Generator
from contextvars import copy_context
from typing import Any, NoReturn

from batchway.engine.start import start

if sys.version_info >= (3, 12):

    class Starter:
        """Starts the items of one batch."""

        __slots__ = ()
        unused = False

        def __call__(
            self, work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
        ) -> asyncio.Task[None] | None:
            """Run `work` up to where it first suspends; None if it came to its end before that."""
            return start(work, loop)

        async def aclose(self) -> None:
            """Leave no task behind."""

else:
    from batchway.engine.start import marked

    class Starter:
        """Starts the items of one batch."""

        __slots__ = ("_spare", "_task", "unused")

        def __init__(self) -> None:
            self._spare: _Spare | None = None
            self._task: asyncio.Task[None] | None = None
            self.unused = False
            """Whether a task stands by, or stood, that nobody needed."""

        def __call__(
            self, work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
        ) -> asyncio.Task[None] | None:
            """Run `work` up to where it first suspends; None if it came to its end before that."""
            spare, task = self._spare, self._task
            if spare is None or task is None or spare.over:
                spare = self._spare = _Spare()
                task = self._task = loop.create_task(spare, context=spare.context)
            if spare.try_first_step(work, task, loop):
                self._spare = self._task = None
                return task
            self.unused = True
            if spare.context != spare.pristine or task.cancelling():
                self._spare = self._task = None  # the next must not find what this one has left behind
            return None

        async def aclose(self) -> None:
            """Leave no task behind: after one turn of the loop, an unused one has come to its end."""
            await asyncio.sleep(0)

    class _Spare(Coroutine[Any, Any, None]):
        """What a task does that does not know yet what it is for. Without work it ends with its first step.

        It does not keep its task: each keeping the other, they would wait for the garbage collector.
        """

        def __init__(self) -> None:
            self.over = False
            self.pristine = copy_context()
            self.context = self.pristine.copy()
            self._work: Coroutine[Any, Any, None] | None = None
            self._awaited: Any = None
            self._has_begun = False

        def try_first_step(
            self, work: Coroutine[Any, Any, None], task: asyncio.Task[None], loop: asyncio.AbstractEventLoop
        ) -> bool:
            """Run the first step of `work` in our `task`; whether there are more, which are ours then."""
            outer = asyncio.current_task(loop)
            if outer is not None:
                asyncio.tasks._leave_task(loop, outer)
            asyncio.tasks._enter_task(loop, task)
            try:
                self._awaited = marked(self.context.run(work.send, None), awaited=False)
            except (StopIteration, asyncio.CancelledError):  # of its own accord: nobody can have yet
                return False
            finally:
                asyncio.tasks._leave_task(loop, task)
                if outer is not None:
                    asyncio.tasks._enter_task(loop, outer)
            self._work = work
            return True

        # --- what the task calls

        def send(self, value: None) -> Any:
            if self._work is None:
                self.over = True
                raise StopIteration
            if not self._has_begun:
                self._has_begun = True
                return marked(self._awaited)
            return self._work.send(value)

        def throw(self, error: Any, *_: Any) -> Any:
            """A cancellation goes where a task sends it: to what is waited for, or else into the work."""
            if self._work is None:
                self.over = True
                raise error
            if not self._has_begun:
                self._has_begun = True
                if self._awaited is not None and self._awaited.cancel():
                    return marked(self._awaited)
            return self._work.throw(error)

        def close(self) -> None:
            if self._work is not None:
                self._work.close()

        def __await__(self) -> Generator[Any, Any, NoReturn]:
            raise NotImplementedError
