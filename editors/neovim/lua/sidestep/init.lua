--- Sidestep in Neovim: what a person's configuration may call. `:help sidestep` tells it all.
local messages = require("sidestep.messages")
local settings = require("sidestep.settings")

local M = {}

local is_wired = false
-- Workspaces whose missing server was told already.
local told = {}

--- Everything that listens to sessions, once, before the first one.
local function wire()
  if is_wired then
    return
  end
  is_wired = true
  require("sidestep.session").on_new(function(session)
    require("sidestep.runs").watch(session)
    require("sidestep.questions").watch(session)
    require("sidestep.endings").watch(session)
    require("sidestep.lenses").watch(session)
    session:on("health", function(told)
      if told.message then
        messages.warn(told.message)
      end
    end)
  end)
end

--- Set what differs from the defaults (`:help sidestep-settings`). Calling it is not needed.
function M.setup(given)
  settings.set(given)
end

--- The session of a workspace, started if need be; or nil and a message that says what to do.
function M.session(root)
  wire()
  return require("sidestep.session").of(root)
end

--- Show a workflow script to the server.
function M.attach(bufnr)
  if not settings.values.attach then
    return
  end
  local root = require("sidestep.workspace").of_buffer(bufnr)
  local session, problem = M.session(root)
  if session then
    session:attach(bufnr)
    require("sidestep.lenses").attach(session, bufnr)
  elseif not told[root] then
    told[root] = true
    messages.error(problem)
  end
end

--- For the status line: how the runs of the buffer's workspace are; empty when there is nothing to say.
function M.statusline()
  local root = require("sidestep.workspace").of_buffer(vim.api.nvim_get_current_buf())
  return require("sidestep.runs").statusline(root)
end

return M
