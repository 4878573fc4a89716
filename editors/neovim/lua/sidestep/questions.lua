--- The questions of runs: one at a time before the person, and none lost. An answer goes by `workflow/answer`; a
--- question that is not answered here stays open, for `:Sidestep answer`, other windows and the terminal.
local asking = require("sidestep.asking")
local messages = require("sidestep.messages")
local settings = require("sidestep.settings")

local M = {}

-- Questions that were told and wait for their turn, oldest first: {session, question}.
local queue = {}
-- The one before the person.
local shown = nil

local show_next

local put

--- Send an answer; `done()` when the question is out of the way. One that does not fit is asked for again.
local function send(session, question, answer, done)
  local params = { interactionId = question.interactionId, answer = answer }
  session:request("workflow/answer", params, function(err, result)
    if err and messages.reason(err) == "answerInvalid" then
      messages.warn(messages.refusal(err))
      put(session, question, done)
      return
    elseif err and messages.reason(err) == "interactionNotPending" then
      messages.info("Nobody needs the answer any more.")
    elseif err then
      messages.error(messages.refusal(err))
    elseif not result.accepted then
      messages.info(("It was answered already: %s"):format(vim.json.encode(result.recorded)))
    end
    done()
  end)
end

--- Put one question before the person; `done()` when it is out of the way.
function put(session, question, done)
  local function answered(answer)
    if answer ~= nil and not (shown and shown.question == question and shown.is_over) then
      send(session, question, answer, done)
      return
    end
    messages.info(answer == nil and "The question stays open: :Sidestep answer" or "It was answered elsewhere.")
    done()
  end
  local prompt = question.title
  if question.detail then
    prompt = ("%s\n%s"):format(prompt, question.detail)
  end
  if question.choices and #question.choices > 0 then
    vim.ui.select(question.choices, {
      prompt = prompt,
      format_item = function(choice)
        return choice.title
      end,
    }, function(choice)
      answered(choice and choice.id)
    end)
  else
    asking.value(prompt, question.schema or { type = "string" }, answered)
  end
end

--- A prompt in the middle of typing would take the next keys for its answer.
local function is_typing()
  local mode = vim.api.nvim_get_mode()
  return mode.mode ~= "n" or mode.blocking
end

local function wait_for_normal_mode()
  vim.api.nvim_create_autocmd({ "InsertLeave", "CmdlineLeave", "CursorHold" }, {
    once = true,
    callback = function()
      vim.schedule(show_next)
    end,
  })
end

function show_next()
  if shown or #queue == 0 then
    return
  end
  if is_typing() then
    wait_for_normal_mode()
    return
  end
  local turn = table.remove(queue, 1)
  shown = turn
  put(turn.session, turn.question, function()
    shown = nil
    vim.schedule(show_next)
  end)
end

local function is_known(interaction_id)
  if shown and shown.question.interactionId == interaction_id then
    return true
  end
  for _, each in ipairs(queue) do
    if each.question.interactionId == interaction_id then
      return true
    end
  end
  return false
end

--- Put a session's questions before the person as they come.
function M.watch(session)
  session:on("question", function(question)
    if is_known(question.interactionId) then
      return
    end
    if not settings.values.prompt then
      messages.info(("%s  (:Sidestep answer)"):format(question.title))
      return
    end
    table.insert(queue, { session = session, question = question })
    if is_typing() then
      messages.info(question.title)
    end
    vim.schedule(show_next)
  end)
  session:on("resolved", function(told)
    queue = vim.tbl_filter(function(each)
      return each.question.interactionId ~= told.interactionId
    end, queue)
    if shown and shown.question.interactionId == told.interactionId then
      shown.is_over = true
    end
  end)
end

--- Answer an open question of a run, whichever the person chooses.
function M.answer(session, run_id)
  session:request("workflow/get", { runId = run_id }, function(err, result)
    if err then
      messages.error(messages.refusal(err))
    elseif #result.pending == 0 then
      messages.info("The run asks nothing.")
    elseif #result.pending == 1 then
      put(session, result.pending[1], function() end)
    else
      vim.ui.select(result.pending, {
        prompt = "Which question?",
        format_item = function(question)
          return question.title
        end,
      }, function(question)
        if question then
          put(session, question, function() end)
        end
      end)
    end
  end)
end

return M
