--- The server's commands behind its code lenses and code actions: what they start or show is opened here.
local lenses = require("sidestep.lenses")
local messages = require("sidestep.messages")
local workspace = require("sidestep.workspace")

local M = {}

--- Have the server carry a command out, and show the run that it names.
local function carry_out(session, command)
  local params = { command = command.command, arguments = command.arguments }
  session:request("workspace/executeCommand", params, function(err, result)
    if err then
      messages.error(messages.refusal(err))
    elseif type(result) == "table" and result.runId then
      require("sidestep.run_buffer").open(session, result.runId)
    end
    -- Sent twice it would start two runs: it has no start key.
  end, command.command == "sidestep.run")
end

--- "Run" of a script of this workspace asks for the arguments here, where every type can be typed.
local function run(session, command)
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

--- The page has the report too, which the server would open beside it.
local function show(session, command)
  require("sidestep.run_buffer").open(session, command.arguments[1].runId)
end

local WORK = {
  ["sidestep.run"] = run,
  ["sidestep.interrupt"] = carry_out,
  ["sidestep.resume"] = carry_out,
  ["sidestep.retry"] = carry_out,
  ["sidestep.background"] = carry_out,
  ["sidestep.showRun"] = show,
}

--- Handlers for a session's client, by the command's name.
function M.of(session)
  return vim.tbl_map(function(work)
    return function(command)
      work(session, command)
      -- Neovim takes a lens away when it is carried out, and not every command changes a run.
      vim.schedule(function()
        lenses.refresh(session)
      end)
    end
  end, WORK)
end

return M
