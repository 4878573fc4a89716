--- `:Sidestep`: its words, what they do, and their completion.
local arguments = require("sidestep.arguments")
local asking = require("sidestep.asking")
local messages = require("sidestep.messages")
local runs = require("sidestep.runs")
local run_buffer = require("sidestep.run_buffer")
local verbs = require("sidestep.verbs")
local workspace = require("sidestep.workspace")

local M = {}

-- Completion waits so long for the server.
local COMPLETION_MS = 2000

local function any()
  return true
end

local function has_status(status)
  return function(run)
    return run.status == status
  end
end

local function root_here()
  return workspace.of_buffer(vim.api.nvim_get_current_buf())
end

--- What a person reads of a run in a list.
local function run_text(run)
  local steps = run.steps or {}
  return ("%-12s %s  %d steps done  %s"):format(run.status, run.label or run.name, steps.completed or 0, run.runId)
end

--- The run that a command means: the one named, the one shown here, the only one that fits, or the person's choice.
local function with_run(session, run_id, filter, fits, done)
  local here = vim.b.sidestep_run
  if run_id or (here and not filter.choose) then
    done(run_id or here)
    return
  end
  runs.list(session, { status = filter.status }, function(found, err)
    if err then
      messages.error(messages.refusal(err))
      return
    end
    found = vim.tbl_filter(fits, found)
    if #found == 0 then
      messages.info(filter.none)
    elseif #found == 1 and not filter.choose then
      done(found[1].runId)
    else
      vim.ui.select(found, { prompt = filter.prompt, format_item = run_text }, function(run)
        if run then
          done(run.runId)
        end
      end)
    end
  end)
end

local function with_scripts(session, done)
  session:request("workflow/scripts", { workspaceFolder = vim.uri_from_fname(session.root) }, function(err, result)
    if err then
      messages.error(messages.refusal(err))
    else
      done(result.scripts)
    end
  end)
end

--- The server reads files, and a person who edits one may expect something else.
local function tell_unsaved(script)
  local bufnr = script.uri and vim.fn.bufnr(vim.fn.fnameescape(vim.uri_to_fname(script.uri))) or -1
  if bufnr > 0 and vim.bo[bufnr].modified then
    messages.warn(("%s has unsaved changes: what runs is the file as it was saved."):format(script.name))
  end
end

local function start(session, script, words)
  tell_unsaved(script)
  local args, problems = arguments.parse(script.argsSchema, words)
  if #problems > 0 then
    messages.error(table.concat(problems, "\n"))
    return
  end
  asking.missing(script.argsSchema, args, function(complete)
    if not complete then
      messages.info("Nothing was started.")
      return
    end
    verbs.start(session, { name = script.name }, complete, function(run_id)
      run_buffer.open(session, run_id)
    end)
  end)
end

local function named(scripts, name)
  for _, script in ipairs(scripts) do
    if script.name == name then
      return script
    end
  end
end

local verbs_of = {}

function verbs_of.run(session, words)
  local name = words[1]
  if not name then
    local root, of_buffer = workspace.script_of(vim.api.nvim_buf_get_name(0))
    name = root == session.root and of_buffer or nil
  end
  with_scripts(session, function(scripts)
    local script = name and named(scripts, name)
    if script then
      start(session, script, vim.list_slice(words, 2))
    elseif name then
      -- The server knows what is close to it.
      verbs.start(session, { name = name }, vim.empty_dict(), function(run_id)
        run_buffer.open(session, run_id)
      end)
    else
      vim.ui.select(scripts, {
        prompt = "Run which workflow?",
        format_item = function(each)
          return ("%s - %s"):format(each.name, each.description)
        end,
      }, function(chosen)
        if chosen then
          start(session, chosen, {})
        end
      end)
    end
  end)
end

function verbs_of.interrupt(session, words)
  local filter = { status = { "active" }, prompt = "Interrupt which run?", none = "No run is active." }
  with_run(session, words[1], filter, any, function(run_id)
    verbs.interrupt(session, run_id)
  end)
end

local function open_and(session, run_id, go_on)
  run_buffer.open(session, run_id)
  go_on(session, run_id)
end

function verbs_of.resume(session, words)
  local filter = { status = { "interrupted" }, prompt = "Resume which run?", none = "No run is interrupted." }
  with_run(session, words[1], filter, any, function(run_id)
    open_and(session, run_id, verbs.resume)
  end)
end

function verbs_of.retry(session, words)
  local filter = { status = { "failed" }, prompt = "Retry which run?", none = "No run has failed." }
  with_run(session, words[1], filter, any, function(run_id)
    open_and(session, run_id, verbs.retry)
  end)
end

function verbs_of.list(session)
  local filter = { prompt = "Show which run?", none = "There are no runs yet: :Sidestep run", choose = true }
  with_run(session, nil, filter, any, function(run_id)
    run_buffer.open(session, run_id)
  end)
end

function verbs_of.show(session, words)
  if words[1] then
    run_buffer.open(session, words[1])
    return
  end
  runs.list(session, { limit = 1 }, function(found, err)
    if err then
      messages.error(messages.refusal(err))
    elseif #found == 0 then
      messages.info("There are no runs yet: :Sidestep run")
    else
      run_buffer.open(session, found[1].runId)
    end
  end)
end

function verbs_of.answer(session, words)
  local filter = { status = { "active" }, prompt = "Answer which run?", none = "No run asks anything." }
  local function asks(run)
    return run.pending > 0
  end
  with_run(session, words[1], filter, asks, function(run_id)
    require("sidestep.questions").answer(session, run_id)
  end)
end

function verbs_of.restart(session)
  session:restart()
end

--- Neovim keeps what a server writes to stderr in its LSP log.
local function show_log()
  vim.cmd("tabnew " .. vim.fn.fnameescape(require("vim.lsp.log").get_filename()))
  vim.cmd("normal! G")
end

local WORDS = { "answer", "interrupt", "list", "log", "restart", "resume", "retry", "run", "show" }

--- Carry a command out.
function M.run(words)
  local word = words[1] or "list"
  if word == "log" then
    show_log()
    return
  end
  local verb = verbs_of[word]
  if not verb then
    messages.error((":Sidestep knows no `%s`; it knows %s"):format(word, table.concat(WORDS, ", ")))
    return
  end
  local session, problem = require("sidestep").session(root_here())
  if session then
    verb(session, vim.list_slice(words, 2))
  else
    messages.error(problem)
  end
end

--- What a request gives, for a caller that cannot be called back; nil when it takes too long.
local function wait_for(begin)
  local got
  begin(function(value)
    got = value or {}
  end)
  vim.wait(COMPLETION_MS, function()
    return got ~= nil
  end, 10)
  return got or {}
end

local function beginning_with(lead, candidates)
  return vim.tbl_filter(function(each)
    return vim.startswith(each, lead)
  end, candidates)
end

local function complete_run(session, words, lead)
  local scripts = wait_for(function(done)
    session:request("workflow/scripts", { workspaceFolder = vim.uri_from_fname(session.root) }, function(_, result)
      done(result and result.scripts)
    end)
  end)
  if #words == 2 then
    return beginning_with(
      lead,
      vim.tbl_map(function(script)
        return script.name
      end, scripts)
    )
  end
  local script = named(scripts, words[3])
  local properties = script and script.argsSchema.properties or {}
  local key = lead:match("^([^=]+)=")
  if key then
    local choices = properties[key] and arguments.choices(properties[key]) or {}
    return beginning_with(
      lead,
      vim.tbl_map(function(choice)
        return key .. "=" .. choice
      end, choices)
    )
  end
  local keys = vim.tbl_keys(properties)
  table.sort(keys)
  return beginning_with(
    lead,
    vim.tbl_map(function(each)
      return each .. "="
    end, keys)
  )
end

local RUNS_OF = {
  interrupt = { filter = { status = { "active" } }, fits = runs.is_active },
  answer = { filter = { status = { "active" } }, fits = runs.is_active },
  resume = { filter = { status = { "interrupted" } }, fits = has_status("interrupted") },
  retry = { filter = { status = { "failed" } }, fits = has_status("failed") },
  show = { filter = {}, fits = any },
}

--- Completion of the word at the cursor, `lead`, of a command line.
function M.complete(lead, line)
  local words = vim.split(vim.trim(line), "%s+")
  if lead ~= "" then
    table.remove(words)
  end
  if #words <= 1 then
    return beginning_with(lead, WORDS)
  end
  local session = require("sidestep").session(root_here())
  if not session then
    return {}
  end
  if words[2] == "run" then
    return complete_run(session, words, lead)
  end
  local wanted = RUNS_OF[words[2]]
  if not wanted or #words > 2 then
    return {}
  end
  local found = wait_for(function(done)
    runs.list(session, wanted.filter, done)
  end)
  return beginning_with(
    lead,
    vim.tbl_map(function(run)
      return run.runId
    end, found)
  )
end

return M
