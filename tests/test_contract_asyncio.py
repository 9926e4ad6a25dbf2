"""The contract of every function once more, each call awaited: tests of `test_contract`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.contract import World
from tests.support.through_asyncio import through_asyncio
from tests.test_contract import (  # noqa: F401  # the tests themselves
    test_a_call_can_be_made_twice,
    test_a_call_is_undone_with_the_transaction_of_the_caller,
    test_an_error_is_named_in_the_docstring_and_takes_few_statements_more,
    test_bad_input_is_refused_by_its_name_and_harms_no_transaction,
    test_outsiders_see_and_change_nothing_of_a_chat_or_folder,
    test_pages_of_any_size_make_up_the_whole_list,
    test_the_callers_transaction_goes_on_after_a_statement_was_refused,
    test_the_table_of_strangers_is_what_is_observed,
)


@pytest.fixture(autouse=True)
def _through_asyncio(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`world` is made before, by plain calls, and its transaction is open in no thread."""
    with through_asyncio(monkeypatch):
        yield
