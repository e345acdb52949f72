"""Scenarios of the group "buffers": small things that two parties read, each with its own system.

*Routing file* (H-33): a store process writes it, clears the directory, and a reader waits for the path.

| | published | retried | renamed | cleared_first | repaired |
|---|---|---|---|---|---|
| loads an unfinished file | H-33 | never | never | H-33 | never |
| loads a file that was taken away | H-33 | never | H-33 | never | never |
| loads what it never found | H-33 | H-33 | H-33 | H-33 | never |
| loads an earlier run's file | H-33 | H-33 | H-33 | never | never |
| a written file is cleared, a put fails | H-33 | H-33 | H-33 | never | never |

A reader that loads again and has no time-out (`endless`) may wait for ever.

*Captured-graph buffers* (#7934, #7933), of one thread:

| | cloned | cloned_zeroed | full_size | repaired |
|---|---|---|---|---|
| a replay writes past the end (error 700) | yes | yes | never | never |
| stale rows are captured | yes | never | yes | never |

*Mirror of top_p* (#7892; open question Q5, each violation by itself): `unswapped` (a), `stale` (b), `short` (c).

| | unswapped | stale | short | repaired |
|---|---|---|---|---|
| list and tensor differ | yes | yes | never | never |
| the fast path ignores a top_p | yes | never | never | never |
| the fast path is missed | yes | yes | never | never |
| an index past the end | never | never | with speculation | never |

*Draft tokens on D* (Q5): with NaiveProposer a row decodes with a token of the request before it, or the worker raises.
*Reasoning budget* (H-36): a request that D keeps and tries again pays for every attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..machines.buffers import draft_tokens, graph_buffers, reasoning_budget, routing_file, sampling_mirror
from ..system import System
from . import Scenario
from .hazard import Hazard

BROKEN, VANISHED, MISSING, STALE = "no_broken_load", "no_vanished_load", "no_missing_load", "no_stale_load"
STAYS, PUT, ENDS, LOAD, WRITTEN = "written_file_stays", "no_put_fails", "reader_ends", "some_load", "some_file_written"
PAST_END, FITS, CAPTURED, AGAIN = "no_write_past_the_end", "graph_fits_its_buffer", "no_stale_rows_captured", "some_graph_captured_again"
MIRRORS, IGNORED, MISSED, INDEX = "list_mirrors_tensor", "no_top_p_ignored", "no_fast_path_missed", "no_index_past_the_end"
FOREIGN, EXTRA, WORKER_RAISES, DECODED = "no_foreign_token_decoded", "no_token_too_many", "worker_never_raises", "some_token_decoded"
PAID, USED_UP, GRANTED = "paid_once", "budget_not_used_up", "some_grant_after_refusal"


def _of(build: Callable[..., System]) -> Callable[..., Scenario]:
    """Scenarios of one system; the variant is that of the configuration."""

    def scenario(
        name: str, asked: str, expected: str, distinct: int, path: int | None, variant: str, sources: tuple[str, ...], about: str, **bounds: Any
    ) -> Scenario:
        return Scenario(f"buffers-{name}", "buffers", build, asked, expected, sources, variant, about, {"variant": variant, **bounds}, distinct, path)

    return scenario


_file, _graph, _mirror, _draft, _budget = (_of(m.build) for m in (routing_file, graph_buffers, sampling_mirror, draft_tokens, reasoning_budget))

H33, H36, GRAPH, TOP_P, NAIVE = ("#7944", "H-33"), ("H-36",), ("#7934", "#7933", "#7944"), ("#7892", "#7944"), ("#7944",)
OUR_FILE = "Ours clears the store before it says that it is ready, writes beside the path and renames, and a reader that has waited in vain says so."
TWIN = "The twin of the claims about this: "
# fmt: off
FILES = [
    _file("unfinished-file-loaded-in-published", BROKEN, "violated", 157, 4, "published", H33,
          "The writer opens the final path, which creates an empty file. The reader finds the path and loads: EOFError, ran out of input, as in "
          "the failed run of #7944's tests."),
    _file("unfinished-file-loaded-in-cleared-first", BROKEN, "violated", 34, 9, "cleared_first", H33,
          "To clear the store in time does not make the write atomic."),
    _file("found-file-vanishes-in-published", VANISHED, "violated", 157, 5, "published", H33,
          "The clearing runs beside the put: the reader finds the path, the clearing unlinks it, the load finds nothing."),
    _file("found-file-vanishes-in-renamed", VANISHED, "violated", 140, 8, "renamed", H33,
          "The rename makes the file whole, not safe from the clearing."),
    _file("missing-file-loaded-in-published", MISSING, "violated", 157, 2, "published", H33,
          "The writer is late; after 20 seconds the wait says so, the caller does not listen, and the load finds nothing."),
    _file("missing-file-loaded-in-renamed", MISSING, "violated", 140, 2, "renamed", H33, "A late writer is late with a rename, too."),
    _file("missing-file-loaded-in-retried", MISSING, "violated", 127, 2, "retried", H33, "To load again does not help who does not listen."),
    _file("stale-file-loaded-in-published", STALE, "violated", 216, 2, "published", H33,
          "An earlier run with the same rollout id has left its file; the reader finds the path before the clearing has come to it.", stale=True),
    _file("stale-file-loaded-in-renamed", STALE, "violated", 241, 2, "renamed", H33, "The rename does not take away what was there.", stale=True),
    _file("stale-file-loaded-in-retried", STALE, "violated", 167, 2, "retried", H33,
          "A stale file loads well: there is nothing to try again.", stale=True),
    _file("written-file-cleared-in-published", STAYS, "violated", 157, 5, "published", H33,
          "`clear_store` is a task like the puts: it may come after one, and takes the file that was just written."),
    _file("written-file-cleared-in-renamed", STAYS, "violated", 140, 6, "renamed", H33, "The clearing takes a renamed file like any other."),
    _file("directory-taken-from-under-a-put-in-published", PUT, "violated", 157, 4, "published", H33,
          "The writer has made the directory; the clearing, which found no file, removes it; to open the path fails."),
    _file("no-unfinished-file-loaded-in-renamed", BROKEN, "holds", 140, None, "renamed", H33, "The path goes from absent to complete in one step."),
    _file("no-unfinished-file-loaded-in-retried", BROKEN, "holds", 127, None, "retried", H33, "What cannot be loaded is waited for."),
    _file("no-found-file-vanishes-in-retried", VANISHED, "holds", 127, None, "retried", H33, "What cannot be loaded is waited for."),
    _file("reader-ends-in-retried", ENDS, "holds", 127, None, "retried", H33, "The time-out ends the waiting."),
    _file("no-unfinished-file-loaded-in-ours", BROKEN, "holds", 26, None, "repaired", H33, OUR_FILE),
    _file("no-found-file-vanishes-in-ours", VANISHED, "holds", 26, None, "repaired", H33, OUR_FILE, stale=True),
    _file("no-missing-file-loaded-in-ours", MISSING, "holds", 26, None, "repaired", H33, OUR_FILE),
    _file("no-stale-file-loaded-in-ours", STALE, "holds", 26, None, "repaired", H33, OUR_FILE, stale=True),
    _file("written-file-stays-in-ours", STAYS, "holds", 26, None, "repaired", H33, OUR_FILE),
    _file("no-put-fails-in-ours", PUT, "holds", 26, None, "repaired", H33, OUR_FILE, stale=True),
    _file("reader-ends-in-ours", ENDS, "holds", 26, None, "repaired", H33, OUR_FILE),
    _file("some-load-in-published", LOAD, "holds", 157, 6, "published", H33, TWIN + "when the writer is quick, it works."),
    _file("reader-waits-for-ever-in-endless", ENDS, "violated", 61, 5, "endless", H33,
          "A reader that loads again and never gives up waits for ever, when the clearing has taken the directory from under the put."),
    _file("some-load-in-renamed", LOAD, "holds", 140, 7, "renamed", H33, TWIN + "renamed files are loaded."),
    _file("some-load-in-retried", LOAD, "holds", 127, 6, "retried", H33, TWIN + "files are loaded."),
    _file("some-load-in-ours", LOAD, "holds", 26, 12, "repaired", H33, TWIN + "files are loaded.", stale=True),
    _file("some-file-written-in-ours", WRITTEN, "holds", 26, 9, "repaired", H33, TWIN + "files are written."),
]

CLONED = "After a clear the draft's buffers are cloned from the target's, which have the shape of the last step; the graph is captured over them"
BOTH = "The buffers are created at their first size, and the rows of the last round are cleared."
GRAPHS = [
    _graph("replay-writes-past-the-end-in-cloned", PAST_END, "violated", 21, 5, "cloned", GRAPH,
           CLONED + ", and a step with more tokens writes past the end: error 700."),
    _graph("graph-larger-than-its-buffer-in-cloned", FITS, "violated", 21, 4, "cloned", GRAPH, CLONED + " for more tokens than they hold."),
    _graph("stale-rows-captured-in-cloned", CAPTURED, "violated", 30, 4, "cloned", GRAPH,
           "What the last step before the clear left in the rows is there when the graph is captured."),
    _graph("replay-writes-past-the-end-in-cloned-zeroed", PAST_END, "violated", 26, 5, "cloned_zeroed", GRAPH,
           "To clear the rows does not make the buffers larger."),
    _graph("stale-rows-captured-in-full-size", CAPTURED, "violated", 21, 4, "full_size", GRAPH, "Full size does not clear the rows."),
    _graph("replays-stay-inside-in-full-size", PAST_END, "holds", 12, None, "full_size", GRAPH, "The buffers are created at their first size."),
    _graph("no-stale-rows-in-cloned-zeroed", CAPTURED, "holds", 26, None, "cloned_zeroed", GRAPH, "The rows of the last round are cleared."),
    _graph("replays-stay-inside-in-mended", PAST_END, "holds", 15, None, "repaired", GRAPH, BOTH),
    _graph("graph-fits-in-mended", FITS, "holds", 15, None, "repaired", GRAPH, BOTH),
    _graph("no-stale-rows-in-mended", CAPTURED, "holds", 15, None, "repaired", GRAPH, BOTH),
    _graph("some-graph-captured-again-in-mended", AGAIN, "holds", 26, 3, "repaired", GRAPH, TWIN + "graphs are captured again."),
    _graph("some-graph-captured-again-in-full-size", AGAIN, "holds", 24, 3, "full_size", GRAPH, TWIN + "graphs are captured again."),
    _graph("some-graph-captured-again-in-cloned-zeroed", AGAIN, "holds", 37, 3, "cloned_zeroed", GRAPH, TWIN + "graphs are captured again."),
    _graph("some-graph-captured-again-in-cloned", AGAIN, "holds", 33, 3, "cloned", GRAPH, TWIN + "graphs are captured again."),
]

KEPT = "The list is written at insert, swapped with its rows, reset when a request ends, and long enough."
MIRROR = [
    _mirror("list-differs-in-unswapped", MIRRORS, "violated", 31, 2, "unswapped", TOP_P, "Two rows are swapped on the device and not in the list."),
    _mirror("top-p-ignored-in-unswapped", IGNORED, "violated", 62, 3, "unswapped", TOP_P,
            "A request with a top_p below 1.0 is swapped to a lower row. Its entry stays behind, beyond real_bsz; the test finds 1.0 everywhere, and "
            "the fast path samples from the wrong distribution."),
    _mirror("fast-path-missed-in-unswapped", MISSED, "violated", 62, 5, "unswapped", TOP_P,
            "A request ends, and the entry that it left behind keeps the slow path."),
    _mirror("list-differs-in-stale", MIRRORS, "violated", 16, 3, "stale", TOP_P, "A request ends below a live one, and its entry stays."),
    _mirror("fast-path-missed-in-stale", MISSED, "violated", 32, 4, "stale", TOP_P,
            "The entry of a finished request keeps the slow path, which nobody needs."),
    _mirror("no-top-p-ignored-in-stale", IGNORED, "holds", 16, None, "stale", TOP_P,
            "A stale entry is overwritten at insert and moves with its row: it costs the fast path and never the distribution."),
    _mirror("index-past-the-end-in-short", INDEX, "violated", 15, 2, "short", TOP_P,
            "With speculation, or with NaiveProposer's one token too many, a row has two tokens; the list has an entry a row.", tokens=2),
    _mirror("index-within-without-speculation-in-short", INDEX, "holds", 9, None, "short", TOP_P, "One token a row, one entry a row."),
    _mirror("list-mirrors-tensor-in-ours", MIRRORS, "holds", 27, None, "repaired", TOP_P, KEPT, rows=3),
    _mirror("no-top-p-ignored-in-ours", IGNORED, "holds", 27, None, "repaired", TOP_P, KEPT, rows=3),
    _mirror("no-fast-path-missed-in-ours", MISSED, "holds", 27, None, "repaired", TOP_P, KEPT, rows=3),
    _mirror("no-index-past-the-end-in-ours", INDEX, "holds", 9, None, "repaired", TOP_P, KEPT, tokens=2),
    _mirror("some-fast-path-in-ours", "some_fast_path", "holds", 54, 2, "repaired", TOP_P, TWIN + "the fast path is taken.", rows=3),
    _mirror("some-row-between-in-ours", "some_row_between", "holds", 27, 1, "repaired", TOP_P, TWIN + "finished rows lie among live ones.", rows=3),
    _mirror("some-fast-path-in-short", "some_fast_path", "holds", 18, 2, "short", TOP_P, TWIN + "the fast path is taken."),
    _mirror("some-fast-path-in-stale", "some_fast_path", "holds", 32, 2, "stale", TOP_P, TWIN + "the fast path is taken."),
]

EMPTY = "Draft tokens are filled for MTP alone, and the worker takes length + 1 of them with any speculative method."
PLACED = "Ours places the first token for every method, and counts the drafts that there are."
DRAFTS = [
    _draft("token-of-the-row-before-decoded-by-naive", FOREIGN, "violated", 17, 6, "left_as_it_was", NAIVE,
           EMPTY + " If a copy of nothing leaves the row as it was, the next request in the row decodes with the token of the one before."),
    _draft("one-token-too-many-by-naive", EXTRA, "violated", 17, 3, "left_as_it_was", NAIVE, EMPTY + " NaiveProposer has none: two tokens for one."),
    _draft("worker-raises-by-naive", WORKER_RAISES, "violated", 9, 2, "raises", NAIVE, EMPTY + " If a copy of nothing raises, the worker ends."),
    _draft("own-tokens-decoded-by-mtp", FOREIGN, "holds", 17, None, "left_as_it_was", NAIVE, "With MTP the drafts are there.", method="mtp"),
    _draft("no-token-too-many-by-mtp", EXTRA, "holds", 17, None, "left_as_it_was", NAIVE, "With MTP the drafts are there.", method="mtp"),
    _draft("worker-goes-on-by-mtp", WORKER_RAISES, "holds", 17, None, "raises", NAIVE, "With MTP there is something to copy.", method="mtp"),
    _draft("own-tokens-decoded-by-naive-in-ours", FOREIGN, "holds", 17, None, "repaired", NAIVE, PLACED),
    _draft("no-token-too-many-by-naive-in-ours", EXTRA, "holds", 17, None, "repaired", NAIVE, PLACED),
    _draft("worker-goes-on-by-naive-in-ours", WORKER_RAISES, "holds", 17, None, "repaired", NAIVE, PLACED),
    _draft("some-token-decoded-by-naive-in-ours", DECODED, "holds", 17, 3, "repaired", NAIVE, TWIN + "tokens are decoded."),
    _draft("some-token-decoded-by-mtp-in-raises", DECODED, "holds", 17, 3, "raises", NAIVE, TWIN + "tokens are decoded.", method="mtp"),
    _draft("some-token-decoded-by-mtp", DECODED, "holds", 17, 3, "left_as_it_was", NAIVE, TWIN + "tokens are decoded.", method="mtp"),
]

ONCE = "Ours takes one when the request is granted, under the lock."
BUDGETS = [
    _budget("every-attempt-paid-when-kept", PAID, "violated", 20, 5, "kept", H36,
            "D takes one from the budget, finds no room, keeps the request and tries again: one more is taken."),
    _budget("budget-used-up-by-waiting-when-kept", USED_UP, "violated", 20, 5, "kept", H36,
            "A request that waits long enough has no budget left when it is granted: it may not reason at all."),
    _budget("paid-once-when-refused", PAID, "holds", 8, None, "refused", H36,
            "Without the cache task D forgets a refused request, and P's next message is a new object with the budget of the start."),
    _budget("budget-not-used-up-when-refused", USED_UP, "holds", 8, None, "refused", H36, "Each attempt begins with the budget of the start."),
    _budget("paid-once-in-ours", PAID, "holds", 6, None, "repaired", H36, ONCE),
    _budget("budget-not-used-up-in-ours", USED_UP, "holds", 6, None, "repaired", H36, ONCE),
    _budget("some-grant-after-refusal-in-ours", GRANTED, "holds", 12, 5, "repaired", H36, TWIN + "refused requests are granted later."),
    _budget("some-grant-after-refusal-when-refused", GRANTED, "holds", 14, 6, "refused", H36, TWIN + "refused requests are granted later."),
]
# fmt: on

SCENARIOS = [*FILES, *GRAPHS, *MIRROR, *DRAFTS, *BUDGETS]

HAZARDS = [
    Hazard(
        "H-33",
        "a reader loads the routing file before it is written",
        ("#7944",),
        "The routing file of R3 is written straight to its final path: absent, empty, partial, complete. The reader takes the path for the "
        "file, and its load of an unfinished one fails. A late writer, the clearing of the store beside a put, and a file of an earlier run "
        "are three more ways to load the wrong thing.",
        "all versions; the EOFError observed in #7944's tests, the writer and the reader read in published code",
        "Confirmed; four faults, and no single mend removes them. The rename mends the unfinished file alone. A reader that loads again "
        "mends that and the file that vanishes. The clearing may also take the directory from under a put, or take a file that was written. "
        "Ours needs three parts: clear before the service is ready, rename, and heed the time-out.",
    ),
    Hazard(
        "H-36",
        "the reasoning budget is paid for every attempt",
        (),
        "D takes one from reasoning_max_tokens before it looks for room, again for every attempt. A request that waits for room on D pays "
        "for its waiting.",
        "all versions; read in published code",
        "Confirmed where D keeps a request and tries it again (FD_ENABLE_CACHE_TASK=1). Where D refuses, each attempt is a new object built from P's "
        "message, and the request pays once.",
    ),
]
