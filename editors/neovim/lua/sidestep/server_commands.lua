--- The server's commands behind its code lenses and code actions: what they start or show is opened here.
local messages = require("sidestep.messages")
local workspace = require("sidestep.workspace")

local M = {}

local NAMES = { "sidestep.interrupt", "sidestep.resume", "sidestep.retry", "sidestep.background", "sidestep.showRun" }

--- Have the server carry a command out, and show the run that it names.
local function carry_out(session, command)
  local params = { command = command.command, arguments = command.arguments }
  session:request("workspace/executeCommand", params, function(err, result)
    if err then
      messages.error(messages.refusal(err))
    elseif type(result) == "table" and result.runId then
      require("sidestep.run_buffer").open(session, result.runId)
    end
  end)
end

--- Handlers for a session's client, by the command's name.
function M.of(session)
  local commands = {}
  for _, name in ipairs(NAMES) do
    commands[name] = function(command)
      carry_out(session, command)
    end
  end
  -- "Run" of a script of this workspace asks for the arguments here, where every type can be typed.
  commands["sidestep.run"] = function(command)
    local given = (command.arguments or {})[1] or {}
    local root, name = nil, nil
    if given.uri and not given.args then
      root, name = workspace.script_of(vim.uri_to_fname(given.uri))
    end
    if root == session.root then
      require("sidestep.command").run({ "run", name })
    else
      carry_out(session, command)
    end
  end
  return commands
end

return M
