--- What a person does to runs: start, interrupt, go on. Each asks for trust when it is missing.
local messages = require("sidestep.messages")

local M = {}

local keys_made = 0

--- No two starts of a person's have the same key; one that is sent to two servers has.
local function new_start_key()
  keys_made = keys_made + 1
  return ("neovim-%d-%d-%d"):format(vim.loop.os_getpid(), vim.loop.hrtime(), keys_made)
end

--- Ask whether a folder is to be trusted; `trusted()` when it is from now on.
local function ask_for_trust(session, folder, trusted)
  local choices = { "Trust it until Neovim ends", "Trust it always", "Do not trust it" }
  local prompt = ("Workflows in %s run programs on this machine. Trust the folder?"):format(folder)
  vim.ui.select(choices, { prompt = prompt }, function(_, index)
    if index ~= 1 and index ~= 2 then
      messages.info("Not trusted: nothing was run.")
      return
    end
    local params = { folders = { folder }, trusted = true, remember = index == 2 }
    session:request("workflow/trust", params, function(err)
      if err then
        messages.error(messages.refusal(err))
      else
        if index == 1 then
          table.insert(session.trusted, vim.uri_from_fname(folder))
        end
        trusted()
      end
    end)
  end)
end

--- Send a request that begins work; `done(result)`. Untrusted folders are asked about, other refusals are told.
local function conduct(session, method, params, done)
  session:request(method, params, function(err, result)
    if not err then
      done(result)
    elseif messages.reason(err) == "workspaceUntrusted" then
      ask_for_trust(session, err.data.folder, function()
        conduct(session, method, params, done)
      end)
    else
      messages.error(messages.refusal(err))
    end
  end)
end

--- Start a script, `{name}` or `{uri}`; `done(run id)` once the run is stored.
function M.start(session, script, args, done)
  local params = {
    script = script,
    args = args,
    mode = "background",
    workspaceFolder = vim.uri_from_fname(session.root),
    startKey = new_start_key(),
  }
  conduct(session, "workflow/start", params, function(started)
    done(started.runId)
  end)
end

function M.interrupt(session, run_id, done)
  session:request("workflow/interrupt", { runId = run_id, wait = "durable" }, function(err, result)
    if err then
      messages.error(messages.refusal(err))
      return
    end
    if result.alreadyTerminal then
      messages.info(("The run has %s already."):format(result.status))
    end
    if done then
      done(result)
    end
  end)
end

function M.resume(session, run_id, done)
  conduct(session, "workflow/resume", { runId = run_id, mode = "background" }, done or function() end)
end

--- Do failed steps again. When the script itself failed, the person is asked whether the edited one is to go on.
function M.retry(session, run_id, done)
  local params = { runId = run_id, mode = "background", source = "snapshot" }
  session:request("workflow/retry", params, function(err, result)
    local reason = err and messages.reason(err)
    if not err then
      if done then
        done(result)
      end
    elseif reason == "invalidTransition" and err.data.status == "failed" then
      local choices = { "Retry with the script as it is now", "Leave it" }
      vim.ui.select(choices, { prompt = messages.refusal(err) }, function(_, index)
        if index == 1 then
          params.source = "current"
          conduct(session, "workflow/retry", params, done or function() end)
        end
      end)
    elseif reason == "workspaceUntrusted" then
      ask_for_trust(session, err.data.folder, function()
        M.retry(session, run_id, done)
      end)
    else
      messages.error(messages.refusal(err))
    end
  end)
end

--- Go on with a stopped run, whichever way its status allows.
function M.go_on(session, run_id, status)
  if status == "interrupted" then
    M.resume(session, run_id)
  elseif status == "failed" then
    M.retry(session, run_id)
  elseif status == "completed" then
    messages.info("The run has completed: there is nothing left to do. :Sidestep run starts another.")
  else
    messages.info("The run goes on already.")
  end
end

return M
