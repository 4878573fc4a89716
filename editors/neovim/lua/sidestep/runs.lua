--- The runs of each workspace as the server tells of them: for the status line, for choosing and for completion.
local session_of = require("sidestep.session")

local M = {}

local ACTIVE = { pending = true, running = true, backgrounded = true }

-- By workspace: run id -> the last that was told of it.
local known = {}

local function redraw()
  vim.schedule(function()
    vim.cmd("silent! redrawstatus!")
  end)
end

--- Remember runs as `workflow/list` shows them, or as `workflow/statusChanged` tells of them.
local function take(root, told)
  known[root] = known[root] or {}
  local summary = told.summary or told
  known[root][told.runId] = {
    run_id = told.runId,
    name = told.label or told.name,
    status = told.status,
    reason = told.reason,
    phase = summary.phase,
    steps = summary.steps or {},
    pending = summary.pending or 0,
    at = told.at or told.updatedAt,
  }
  redraw()
end

--- Remember what a session tells from now on.
function M.watch(session)
  local root = session.root
  session:on("status", function(told)
    take(root, told)
  end)
  session:on("deleted", function(told)
    if known[root] then
      known[root][told.runId] = nil
    end
    redraw()
  end)
  session:on("ready", function()
    M.list(session, { status = { "active" } })
  end)
  session:on("gone", redraw)
end

--- Ask for runs, newest first; `done(runs)`, or `done(nil, err)`.
function M.list(session, filter, done)
  local params = vim.tbl_extend("keep", filter, { workspaceFolder = vim.uri_from_fname(session.root), limit = 50 })
  session:request("workflow/list", params, function(err, result)
    for _, run in ipairs(result and result.runs or {}) do
      take(session.root, run)
    end
    if done then
      done(result and result.runs, err)
    end
  end)
end

--- The runs of a workspace that are known, the last told first.
function M.known(root, fits)
  local found = vim.tbl_filter(fits or function()
    return true
  end, vim.tbl_values(known[root] or {}))
  table.sort(found, function(one, other)
    return one.at > other.at
  end)
  return found
end

function M.is_active(run)
  return ACTIVE[run.status] == true
end

local function progress_text(run)
  local steps = run.steps
  local phase = run.phase and (" " .. run.phase) or ""
  local completed = steps.completed or 0
  local known = completed + (steps.failed or 0) + (steps.running or 0)
  return run.name .. phase .. (known > 0 and (" %d/%d"):format(completed, known) or "")
end

--- What the status line says of a workspace: its active runs, or how the last one ended; empty without any.
function M.statusline(root)
  local session = session_of.existing(root)
  if not session then
    return ""
  end
  if session.state ~= "ready" then
    return session.state == "starting" and "sidestep ..." or "sidestep down"
  end
  local active = M.known(root, M.is_active)
  local waiting = 0
  for _, run in ipairs(active) do
    waiting = waiting + run.pending
  end
  local asks = waiting > 0 and (" ?%d"):format(waiting) or ""
  if #active == 1 then
    return "● " .. progress_text(active[1]) .. asks
  elseif #active > 1 then
    return ("● %d runs%s"):format(#active, asks)
  end
  local last = M.known(root)[1]
  local signs = { completed = "✓", failed = "✗", interrupted = "‖" }
  return last and ("%s %s %s"):format(signs[last.status] or "", last.name, last.status) or ""
end

return M
