--- Following one run: each of its events once and in order, whatever becomes of the server.
---
--- Owns the cursor, the sequence of the last event that was handed on. Invariant: the next one handed on is cursor + 1.
local messages = require("sidestep.messages")

local Follow = {}
Follow.__index = Follow

local M = {}

--- Follow a run. `sink` has `take(events)`, `reset()` (begin again: the store is another), `changed(summary, pending)`,
--- `output(told)` and `gone(why)`.
function M.run(session, run_id, sink)
  local follow = setmetatable({ session = session, run_id = run_id, sink = sink, cursor = 0, offs = {} }, Follow)
  follow:_hear("ready", function()
    follow:_subscribe()
  end)
  for _, name in ipairs({ "events", "lagged", "deleted", "output" }) do
    follow:_hear(name, function(told)
      if told.runId == run_id then
        follow["_" .. name](follow, told)
      end
    end)
  end
  follow:_subscribe()
  return follow
end

function Follow:_hear(name, callback)
  table.insert(self.offs, self.session:on(name, callback))
end

--- Ask for what comes after the cursor, unless that is on its way.
function Follow:_subscribe()
  if self.is_asking then
    return
  end
  if self.session.state ~= "ready" then
    -- "ready" comes back here.
    local problem = self.session:start()
    if problem then
      self.sink.gone(problem)
    end
    return
  end
  self.is_asking = true
  local params = { runId = self.run_id, afterSequence = self.cursor }
  self.session:request("workflow/subscribe", params, function(err, result)
    self.is_asking = false
    if self.stopped then
      return
    elseif not err then
      self:_take(result.events)
      self.sink.changed(result.run, result.pending)
    elseif messages.reason(err) == "invalidParams" and self.cursor > 0 then
      self.cursor = 0
      self.sink.reset()
      self:_subscribe()
    elseif messages.reason(err) ~= "serverGone" then
      self.sink.gone(messages.refusal(err))
    end
  end, true)
end

--- Hand on what is new; at a gap, ask again for what is missing.
function Follow:_take(events)
  local new = {}
  for _, event in ipairs(events) do
    if event.sequence == self.cursor + 1 then
      self.cursor = event.sequence
      table.insert(new, event)
    elseif event.sequence > self.cursor then
      self:_subscribe()
      break
    end
  end
  if #new > 0 then
    self.sink.take(new)
  end
end

function Follow:_events(told)
  self:_take(told.events)
end

function Follow:_lagged()
  self:_subscribe()
end

function Follow:_deleted()
  self:stop()
  self.sink.gone("The run was deleted.")
end

function Follow:_output(told)
  self.sink.output(told)
end

--- Hear no more of it.
function Follow:stop()
  if self.stopped then
    return
  end
  self.stopped = true
  for _, off in ipairs(self.offs) do
    off()
  end
  if self.session.state == "ready" then
    self.session:request("workflow/unsubscribe", { runId = self.run_id }, nil, true)
  end
end

return M
