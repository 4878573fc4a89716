--- Telling a person that a run has ended which no window shows.
---
--- Invariant: an end is told once. The server tells of each change of a status once, and names the status before it.
local messages = require("sidestep.messages")

local M = {}

--- Who interrupted a run knows that it stopped, and the server itself tells of crashes.
local function is_an_end(told)
  if told.previous == nil or told.attention ~= "notifyOnTerminal" then
    return false
  end
  return told.status == "completed" or told.status == "failed" or told.reason == "deadline"
end

local function tell(told)
  local why = told.error and told.error.message or told.reason
  local what = ("%s %s%s"):format(told.label or told.name, told.status, why and (": " .. why:match("^[^\n]*")) or "")
  local text = ("%s  (:Sidestep show %s)"):format(what, told.runId)
  if told.status == "completed" then
    messages.info(text)
  elseif told.status == "failed" then
    messages.error(text)
  else
    messages.warn(text)
  end
end

--- Tell the ends of a session's runs from now on.
function M.watch(session)
  session:on("status", function(told)
    if not is_an_end(told) then
      return
    end
    -- What came with it may be about to open the page.
    vim.schedule(function()
      if not require("sidestep.run_buffer").is_shown(told.runId) then
        tell(told)
      end
    end)
  end)
end

return M
