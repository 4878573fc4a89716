--- What a run's page shows, built from the run's events in their order. No buffer, no window, no server.
local M = {}

-- Lines of log and notes kept of one run; the journal has them all.
local NOTES_MAX = 2000
-- Bytes kept of what a running step prints.
local OUTPUT_BYTES_MAX = 65536

local STOPPED = { completed = true, failed = true, interrupted = true }

--- `sections` are the phases in their order, each with its `entries`: steps, notes and questions as they came.
function M.new(run_id)
  return {
    run_id = run_id,
    name = "",
    status = "pending",
    sections = { { entries = {} } },
    steps = {}, -- by key
    questions = {}, -- by interaction id
    output = {}, -- of running steps, by step id
    notes = 0,
  }
end

local function details_text(details)
  local words = {}
  for _, name in ipairs(vim.fn.sort(vim.tbl_keys(details or {}))) do
    local value = details[name]
    table.insert(words, name .. "=" .. (type(value) == "string" and value or vim.json.encode(value)))
  end
  return #words > 0 and (" (%s)"):format(table.concat(words, ", ")) or ""
end

--- The section of a phase: the last one of this title, or a new one.
local function section_of(picture, title, name)
  for index = #picture.sections, 1, -1 do
    local section = picture.sections[index]
    if section.title == title or (title == nil and section.name == name) then
      return section
    end
  end
  local section = { title = title or name, name = name, entries = {} }
  table.insert(picture.sections, section)
  return section
end

local function current(picture)
  return picture.section or picture.sections[1]
end

local function note(picture, kind, text)
  if picture.notes == NOTES_MAX then
    kind, text = "more", "... further lines of log are in `sidestep runs events`"
  elseif picture.notes > NOTES_MAX then
    return
  end
  picture.notes = picture.notes + 1
  table.insert(current(picture).entries, { type = "note", kind = kind, text = text })
end

local function seconds_of(at)
  local year, month, day, hour, minute, second = at:match("^(%d+)-(%d+)-(%d+)T(%d+):(%d+):([%d.]+)")
  if not year then
    return 0
  end
  local whole = os.time({ year = year, month = month, day = day, hour = hour, min = minute, sec = 0 })
  return whole + tonumber(second)
end

--- Steps by status; `kept` are those of the completed ones that an earlier execution finished.
function M.counts(picture)
  local counts = { known = 0, kept = 0, completed = 0 }
  for _, step in pairs(picture.steps) do
    counts.known = counts.known + 1
    counts.kept = counts.kept + (step.kept and 1 or 0)
    counts[step.status] = (counts[step.status] or 0) + 1
  end
  return counts
end

local take = {}

function take.status(picture, event)
  local was_stopped = STOPPED[picture.status]
  picture.status = event.status
  picture.reason = event.reason
  if STOPPED[event.status] then
    picture.ended_at = seconds_of(event.at)
    for _, step in pairs(picture.steps) do
      if step.status == "started" or step.status == "queued" then
        step.status = "interrupted"
      end
    end
    if event.status == "interrupted" then
      local by = event.detail and (" by %s"):format(event.detail) or ""
      note(picture, "stopped", ("interrupted (%s)%s"):format(event.reason or "no reason given", by))
    end
  elseif was_stopped then
    for _, step in pairs(picture.steps) do
      step.kept = step.status == "completed"
    end
    picture.error, picture.ended_at = nil, nil
    local counts = M.counts(picture)
    local how = event.detail and (" (%s)"):format(event.detail) or ""
    note(picture, "goes-on", ("goes on%s: %d of %d steps kept"):format(how, counts.completed, counts.known))
  end
end

function take.phase(picture, event)
  picture.phase = event.name
  picture.section = section_of(picture, event.name .. details_text(event.details), event.name)
end

function take.log(picture, event)
  local level = event.level or "info"
  note(picture, level, event.message .. details_text(event.data))
end

function take.step(picture, event)
  local step = picture.steps[event.key]
  if not step then
    step = { type = "step", key = event.key, id = event.stepId }
    picture.steps[event.key] = step
    local named = event.phase and event.phase ~= (current(picture).name or "")
    local section = named and section_of(picture, nil, event.phase) or current(picture)
    table.insert(section.entries, step)
  end
  step.kind = event.kind
  step.status = event.status
  step.title = event.title or step.title
  step.attempt = event.attempt
  step.duration_ms = event.durationMs
  step.error = event.error and event.error.message or nil
  step.kept = false
  if event.status ~= "started" then
    picture.output[event.stepId] = nil
  end
end

function take.child(picture, event)
  for _, step in pairs(picture.steps) do
    if step.id == event.stepId and step.status ~= "completed" then
      step.child, step.child_name = event.childRunId, event.name or step.child_name
    end
  end
end

function take.interaction(picture, event)
  local question = picture.questions[event.interactionId]
  if not question then
    question = { type = "question", id = event.interactionId, title = event.title or event.interactionId }
    picture.questions[event.interactionId] = question
    table.insert(current(picture).entries, question)
  end
  question.status, question.answer, question.by = event.status, event.answer, event.by
end

function take.validation(picture, event)
  local first = event.problems[1] or {}
  note(picture, "warning", ("%s: answer %d did not fit: %s"):format(event.stepId, event.attempt, first.message or ""))
end

function take.timeout(picture, event)
  note(picture, "warning", ("%s: time limit of %g s reached"):format(event.stepId, event.limitMs / 1000))
end

function take.source(picture)
  note(picture, "goes-on", "goes on with the script as it is now")
end

function take.result(picture, event)
  picture.result = event.result
end

take["error"] = function(picture, event)
  picture.error = event.error
end

--- Take one event over; types that are not known are passed over.
function M.take(picture, event)
  picture.started_at = picture.started_at or seconds_of(event.at)
  local taker = take[event.type]
  if taker then
    taker(picture, event)
  end
end

--- Take over what a running step prints.
function M.print(picture, told)
  local text = (picture.output[told.stepId] or "") .. told.text
  if #text > OUTPUT_BYTES_MAX then
    -- From a line's beginning on: no character is cut in two.
    text = text:sub(-OUTPUT_BYTES_MAX):gsub("^[^\n]*\n", "")
  end
  picture.output[told.stepId] = text
end

--- Whether a run's status is one in which nothing runs.
function M.is_stopped(status)
  return STOPPED[status] == true
end

return M
