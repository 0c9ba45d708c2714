"""Articles spread over processes of their own, their results in order and in bounded memory.

Processes are spawned, not forked, since a parent has threads; one that dies ends the work with a message.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain
from typing import TypeVar

from stance.errors import StanceError
from stance.records import Article

Result = TypeVar("Result")
CHUNK, CHARACTERS = 128, 2_000_000
"""Articles that are handed to a process at once, and about how many characters of them."""


def cores() -> int:
    """Cores that this process may use; eight at most, since each worker holds a parser."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)


def spread(
    work: Callable[[list[Article]], list[Result]], articles: Iterable[Article], processes: int, *, alone: int
) -> Iterator[Result]:
    """What `work` makes of the articles, chunk by chunk; more processes join in when there are many.

    Args:
        work: can be pickled.
        articles: any number; a few chunks are read ahead.
        processes: at most so many; 0 takes `cores()`.
        alone: articles that this process handles before others are started, or `CHARACTERS` of them.

    Raises:
        StanceError: a process has died.
    """
    processes, chunks = processes or cores(), _chunks(articles)
    done = characters = 0
    while processes == 1 or (done < alone and characters <= CHARACTERS):
        if not (chunk := next(chunks, [])):
            return
        yield from work(chunk)
        done += len(chunk)
        characters += sum(len(article.text) for article in chunk)
    if first := next(chunks, None):
        with _pool(processes) as pool:
            waiting: deque[Future[list[Result]]] = deque()
            for chunk in chain([first], chunks):  # a few ahead, so that memory stays bounded
                waiting.append(pool.submit(work, chunk))
                if len(waiting) > 2 * processes:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    try:
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            try:
                yield pool
            except BaseException:  # what waits is not begun any more
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool as error:
        raise StanceError(
            "a process that works on articles has died: of too little memory, or because the calling script works "
            "outside of `if __name__ == '__main__':`"
        ) from error


def _chunks(articles: Iterable[Article]) -> Iterator[list[Article]]:
    chunk: list[Article] = []
    characters = 0
    for article in articles:
        chunk.append(article)
        characters += len(article.text)
        if len(chunk) == CHUNK or characters > CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
