--- A picture of a run as lines of text with colours, and what each line stands for. Pure.
local picture_of = require("sidestep.picture")

local M = {}

local SIGNS = { completed = "✓", failed = "✗", started = "●", queued = "○", interrupted = "‖" }
local GROUPS = {
  pending = "SidestepRunning",
  running = "SidestepRunning",
  backgrounded = "SidestepRunning",
  started = "SidestepRunning",
  queued = "SidestepKept",
  completed = "SidestepCompleted",
  failed = "SidestepFailed",
  interrupted = "SidestepInterrupted",
}
local NOTE_GROUPS = {
  error = "SidestepFailed",
  warning = "SidestepInterrupted",
  stopped = "SidestepInterrupted",
  ["goes-on"] = "SidestepRunning",
}
local ID_WIDTH_MIN = 24
local ID_WIDTH_MAX = 60

--- Lines with `spans` {line, from, to, group} (0-based lines and bytes) and `targets`: line (1-based) -> entry.
local Page = {}
Page.__index = Page

--- Add a line of parts, each a text or {text, group}; returns its number, from 1.
function Page:add(...)
  local text = ""
  for _, part in ipairs({ ... }) do
    local words, group = part, nil
    if type(part) == "table" then
      words, group = part[1], part[2]
    end
    words = words:gsub("[%z\1-\31\127]+", " ")
    if group and #words > 0 then
      table.insert(self.spans, { #self.lines, #text, #text + #words, group })
    end
    text = text .. words
  end
  table.insert(self.lines, text)
  return #self.lines
end

function Page:add_text(text, indent, group)
  for _, line in ipairs(vim.split((text:gsub("\n+$", "")), "\n", { plain = true })) do
    self:add({ indent .. line, group })
  end
end

local function plural(count, word)
  return ("%d %s%s"):format(count, word, count == 1 and "" or "s")
end

function M.duration(ms)
  if ms < 1000 then
    return ("%d ms"):format(ms)
  elseif ms < 60000 then
    return ("%.1f s"):format(ms / 1000)
  end
  return ("%d min %02d s"):format(math.floor(ms / 60000), math.floor(ms / 1000) % 60)
end

--- How wide a name is on the screen. Asking Neovim is slow, and most names are ASCII.
local function width_of(name)
  return name:find("[^ -~]") and vim.fn.strdisplaywidth(name) or #name
end

local function name_of(step)
  return step.title and ("%s (%s)"):format(step.title, step.id) or step.id
end

local function head(page, picture)
  local reason = picture.reason and picture.status == "interrupted" and (" (%s)"):format(picture.reason) or ""
  local status = { picture.status .. reason, GROUPS[picture.status] or "SidestepRunning" }
  page:add({ picture.name ~= "" and picture.name or "run", "SidestepTitle" }, "  ", status, "  ", {
    picture.run_id,
    "SidestepKept",
  })
  local counts = picture_of.counts(picture)
  local parts = { plural(counts.known, "step") }
  for _, status_name in ipairs({ "completed", "failed", "interrupted", "started", "queued" }) do
    if (counts[status_name] or 0) > 0 then
      table.insert(parts, ("%d %s"):format(counts[status_name], status_name == "started" and "running" or status_name))
    end
  end
  if counts.kept > 0 then
    table.insert(parts, ("%d kept"):format(counts.kept))
  end
  if picture.ended_at and picture.started_at then
    table.insert(parts, M.duration(math.max(0, (picture.ended_at - picture.started_at) * 1000)))
  end
  page:add(table.concat(parts, ", "))
  page:add({ "q close  i interrupt  r resume or retry  a answer  <CR> output of the step", "SidestepKey" })
  if picture.gone then
    page:add({ picture.gone, "SidestepFailed" })
  end
end

local function step_lines(page, picture, step, width)
  local group = GROUPS[step.status] or "SidestepRunning"
  local name = name_of(step)
  local room = (" "):rep(math.max(0, width - width_of(name)))
  local parts = { "  ", { SIGNS[step.status] or "?", group }, " ", name, room, "  ", { step.status, group } }
  if step.duration_ms then
    table.insert(parts, "  " .. M.duration(step.duration_ms))
  end
  if (step.attempt or 1) > 1 then
    table.insert(parts, ("  attempt %d"):format(step.attempt))
  end
  if step.kept then
    table.insert(parts, { "  kept", "SidestepKept" })
  end
  if step.child then
    table.insert(parts, { ("  -> %s"):format(step.child_name or step.child), "SidestepKept" })
  end
  page.targets[page:add(unpack(parts))] = step
  if step.error and step.status == "failed" then
    page.targets[page:add({ "      " .. step.error:gsub("\n.*", ""), "SidestepFailed" })] = step
  end
  local printed = step.status == "started" and picture.output[step.id]
  if printed then
    local last = printed:gsub("%s+$", ""):match("[^\r\n]*$")
    page.targets[page:add({ "      " .. last, "SidestepOutput" })] = step
  end
end

local function question_line(page, question)
  local parts = { "  ", { "? " .. question.title, "SidestepQuestion" } }
  if question.status ~= "asked" then
    local answer = question.answer
    local given = answer ~= nil and (": %s"):format(type(answer) == "string" and answer or vim.json.encode(answer)) or ""
    local by = question.by and (" by %s"):format(question.by) or ""
    table.insert(parts, ("  %s%s%s"):format(question.status, by, given))
  end
  page.targets[page:add(unpack(parts))] = question
end

local function name_width(picture)
  local width = ID_WIDTH_MIN
  for _, step in pairs(picture.steps) do
    width = math.max(width, math.min(ID_WIDTH_MAX, width_of(name_of(step))))
  end
  return width
end

local function outcome(page, picture)
  local failed, result = picture.error, picture.result
  if failed then
    page:add("")
    page:add({ "Error", "SidestepTitle" })
    page:add_text(failed.message, "  ", "SidestepFailed")
    if failed.file then
      page:add({ ("  at %s%s"):format(failed.file, failed.line and (":%d"):format(failed.line) or ""), "SidestepKept" })
    end
  end
  if result and result.report then
    page:add("")
    page:add({ "Report", "SidestepTitle" })
    page:add_text(result.report, "")
  end
  if result and result.data ~= nil then
    page:add("")
    page:add({ "Data", "SidestepTitle" })
    page:add_text(vim.json.encode(result.data), "  ")
  end
  if result and result.uri then
    page:add({ ("The whole result is in %s"):format(vim.uri_to_fname(result.uri)), "SidestepKept" })
  end
end

--- The page of a picture.
function M.page(picture)
  local page = setmetatable({ lines = {}, spans = {}, targets = {} }, Page)
  head(page, picture)
  local width = name_width(picture)
  for _, section in ipairs(picture.sections) do
    if section.title or #section.entries > 0 then
      page:add("")
    end
    if section.title then
      page:add({ section.title, "SidestepPhase" })
    end
    for _, entry in ipairs(section.entries) do
      if entry.type == "step" then
        step_lines(page, picture, entry, width)
      elseif entry.type == "question" then
        question_line(page, entry)
      else
        local level = (entry.kind == "warning" or entry.kind == "error") and (entry.kind .. ": ") or ""
        page:add_text(level .. entry.text, "    ", NOTE_GROUPS[entry.kind] or "SidestepLog")
      end
    end
  end
  outcome(page, picture)
  return page
end

--- Our highlight groups, each linked to one that every colour scheme has; a person's own link wins.
function M.define_groups()
  local links = {
    SidestepTitle = "Title",
    SidestepPhase = "Statement",
    SidestepRunning = "Identifier",
    SidestepCompleted = "String",
    SidestepFailed = "ErrorMsg",
    SidestepInterrupted = "WarningMsg",
    SidestepKept = "Comment",
    SidestepLog = "Normal",
    SidestepOutput = "Comment",
    SidestepQuestion = "Question",
    SidestepKey = "SpecialKey",
  }
  for group, link in pairs(links) do
    vim.api.nvim_set_hl(0, group, { link = link, default = true })
  end
end

return M
