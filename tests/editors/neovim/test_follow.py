"""Following a run through what a real server does too seldom for a test: gaps, lags, another store, a deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.editors.neovim.editor import Neovim

pytestmark = [pytest.mark.editor]

# A session whose server is the test: `asked` has the cursors that came, `answer` and `tell` are what it says.
SESSION = """
local heard, waiting = {}, nil
_G.asked_after, _G.taken, _G.shown = {}, {}, {}
local session = { state = "ready", on = function(_, name, callback)
  heard[name] = callback
  return function() heard[name] = nil end
end, start = function() end }
function session:request(method, params, callback)
  if method == "workflow/subscribe" then
    table.insert(asked_after, params.afterSequence)
    waiting = callback
  end
end
local function events(first, last)
  local list = {}
  for sequence = first, last do table.insert(list, { sequence = sequence }) end
  return list
end
function _G.answer(first, last)
  waiting(nil, { events = events(first, last), run = { name = "r" }, pending = {} })
end
function _G.refuse(reason) waiting({ message = reason, data = { reason = reason } }) end
function _G.tell(name, first, last)
  if heard[name] then heard[name]({ runId = "run", events = first and events(first, last) }) end
end
_G.follow = require("sidestep.follow").run(session, "run", {
  take = function(list) for _, event in ipairs(list) do table.insert(taken, event.sequence) end end,
  changed = function() end,
  reset = function() taken = {} end,
  gone = function(why) table.insert(shown, why) end,
})
"""


def after(neovim: Neovim, story: str) -> dict[str, Any]:
    return neovim.lua(f"{SESSION}\n{story}\nreturn {{ taken = taken, asked = asked_after, shown = shown }}")


def test_what_comes_twice_is_taken_once(neovim: Neovim) -> None:
    seen = after(neovim, "answer(1, 3) tell('events', 2, 5) tell('events', 5, 6)")
    assert seen["taken"] == [1, 2, 3, 4, 5, 6]
    assert seen["asked"] == [0]


def test_what_is_missing_is_asked_for_once(neovim: Neovim) -> None:
    seen = after(neovim, "answer(1, 3) tell('events', 6, 7) tell('events', 8, 8) answer(4, 8) tell('events', 9, 9)")
    assert seen["taken"] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert seen["asked"] == [0, 3]


def test_after_a_lag_it_goes_on_at_its_cursor(neovim: Neovim) -> None:
    seen = after(neovim, "answer(1, 3) tell('lagged') answer(4, 5)")
    assert seen["taken"] == [1, 2, 3, 4, 5]
    assert seen["asked"] == [0, 3]


def test_with_the_next_server_it_goes_on_at_its_cursor(neovim: Neovim) -> None:
    seen = after(neovim, "answer(1, 3) tell('ready') answer(4, 5)")
    assert seen["taken"] == [1, 2, 3, 4, 5]
    assert seen["asked"] == [0, 3]


def test_on_another_store_it_begins_again(neovim: Neovim) -> None:
    seen = after(neovim, "answer(1, 3) tell('ready') refuse('invalidParams') answer(1, 2)")
    assert seen["taken"] == [1, 2]
    assert seen["asked"] == [0, 3, 0]


def test_a_run_that_is_gone_is_said_to_be(neovim: Neovim) -> None:
    assert after(neovim, "refuse('runNotFound')")["shown"] == ["runNotFound"]
    seen = after(neovim, "answer(1, 3) tell('deleted') tell('events', 4, 4)")
    assert seen["shown"] == ["The run was deleted."]
    assert seen["taken"] == [1, 2, 3]
