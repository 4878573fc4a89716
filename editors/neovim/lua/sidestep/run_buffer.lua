--- A run's page: a buffer that follows its run, with keys. Closing it ends the following, never the run.
local follow = require("sidestep.follow")
local messages = require("sidestep.messages")
local picture_of = require("sidestep.picture")
local render = require("sidestep.render")
local settings = require("sidestep.settings")
local verbs = require("sidestep.verbs")

local M = {}

-- What comes within this time is drawn together; and drawing takes at most this part of the time.
local DRAW_AFTER_MS = 40
local DRAW_SHARE = 0.2

local NAMESPACE = vim.api.nvim_create_namespace("sidestep")

-- By buffer.
local pages = {}

local function name_of(run_id)
  return "sidestep://run/" .. run_id
end

--- Set the lines that changed, with their colours: cursors, windows and everything else stay as they are.
local function put(bufnr, drawn)
  local lines = drawn.lines
  local shown = vim.api.nvim_buf_get_lines(bufnr, 0, -1, false)
  local first, last = 1, 0
  while first <= #lines and lines[first] == shown[first] do
    first = first + 1
  end
  while last < #lines - first + 1 and last < #shown - first + 1 and lines[#lines - last] == shown[#shown - last] do
    last = last + 1
  end
  vim.bo[bufnr].modifiable = true
  vim.api.nvim_buf_clear_namespace(bufnr, NAMESPACE, first - 1, #shown - last)
  vim.api.nvim_buf_set_lines(bufnr, first - 1, #shown - last, false, vim.list_slice(lines, first, #lines - last))
  for _, span in ipairs(drawn.spans) do
    if span[1] >= first - 1 and span[1] < #lines - last then
      vim.api.nvim_buf_set_extmark(bufnr, NAMESPACE, span[1], span[2], { end_col = span[3], hl_group = span[4] })
    end
  end
  vim.bo[bufnr].modifiable = false
  vim.bo[bufnr].modified = false
end

--- Draw a page now. A cursor on the last line stays on the last line.
local function draw(page)
  local began = vim.loop.hrtime()
  page.is_due = false
  if not vim.api.nvim_buf_is_loaded(page.bufnr) then
    return
  end
  local before = vim.api.nvim_buf_line_count(page.bufnr)
  local at_end = vim.tbl_filter(function(window)
    return before > 1 and vim.api.nvim_win_get_cursor(window)[1] == before
  end, vim.fn.win_findbuf(page.bufnr))
  local drawn = render.page(page.picture)
  page.targets = drawn.targets
  put(page.bufnr, drawn)
  for _, window in ipairs(at_end) do
    vim.api.nvim_win_set_cursor(window, { #drawn.lines, 0 })
  end
  page.pause_ms = math.max(DRAW_AFTER_MS, (vim.loop.hrtime() - began) / 1e6 / DRAW_SHARE)
end

local function draw_soon(page)
  if not page.is_due then
    page.is_due = true
    vim.defer_fn(function()
      draw(page)
    end, math.floor(page.pause_ms or DRAW_AFTER_MS))
  end
end

local function sink_of(page)
  return {
    take = function(events)
      for _, event in ipairs(events) do
        picture_of.take(page.picture, event)
      end
      draw_soon(page)
    end,
    changed = function(summary)
      page.picture.name = summary.label or summary.name
      page.picture.gone = nil
      draw_soon(page)
    end,
    output = function(told)
      picture_of.print(page.picture, told)
      draw_soon(page)
    end,
    reset = function()
      local name = page.picture.name
      page.picture = picture_of.new(page.run_id)
      page.picture.name = name
    end,
    gone = function(why)
      page.picture.gone = why
      draw_soon(page)
    end,
  }
end

local function show_text(page, step, text)
  vim.cmd(settings.values.open)
  local bufnr = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_win_set_buf(0, bufnr)
  vim.bo[bufnr].bufhidden = "wipe"
  vim.b[bufnr].sidestep_workspace = page.session.root
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, vim.split(text, "\n", { plain = true }))
  vim.bo[bufnr].modifiable = false
  pcall(vim.api.nvim_buf_set_name, bufnr, ("sidestep://output/%s/%s/%d"):format(page.run_id, step.id, bufnr))
  vim.keymap.set("n", "q", "<Cmd>close<CR>", { buffer = bufnr, nowait = true, desc = "Close" })
end

--- What a finished step gave, for people: of a command its streams, of an agent its text, else JSON.
local function output_text(summary)
  local lines, output = {}, summary.output
  if summary.error then
    table.insert(lines, summary.error.message)
  end
  if type(output) == "string" then
    table.insert(lines, output)
  elseif summary.kind == "command" and type(output) == "table" and output.stdout then
    table.insert(lines, output.stdout)
    if output.stderr ~= "" then
      vim.list_extend(lines, { "--- stderr", output.stderr })
    end
    table.insert(lines, ("--- exit code %s"):format(tostring(output.exit_code)))
  elseif output ~= nil then
    table.insert(lines, vim.json.encode(output))
  end
  if summary.outputUri then
    table.insert(lines, ("The whole output is in %s"):format(vim.uri_to_fname(summary.outputUri)))
  end
  return #lines > 0 and table.concat(lines, "\n") or "The step gave nothing."
end

local function show_step(page, step)
  if step.child then
    M.open(page.session, step.child)
    return
  end
  if step.status == "started" or step.status == "queued" then
    show_text(page, step, page.picture.output[step.id] or "The step has printed nothing yet.")
    return
  end
  local params = { runId = page.run_id, stepId = step.id, outputs = true }
  page.session:request("workflow/steps", params, function(err, result)
    if err then
      messages.error(messages.refusal(err))
      return
    end
    for _, summary in ipairs(result.steps) do
      if summary.key == step.key then
        show_text(page, step, output_text(summary))
        return
      end
    end
    messages.info("The journal has no such step any more.")
  end)
end

local function set_keys(page)
  local function key(lhs, desc, callback)
    vim.keymap.set("n", lhs, callback, { buffer = page.bufnr, nowait = true, desc = desc })
  end
  key("q", "Close; the run goes on", function()
    vim.api.nvim_buf_delete(page.bufnr, { force = true })
  end)
  key("i", "Interrupt the run", function()
    verbs.interrupt(page.session, page.run_id)
  end)
  key("r", "Resume or retry the run", function()
    verbs.go_on(page.session, page.run_id, page.picture.status)
  end)
  key("a", "Answer the run's question", function()
    require("sidestep.questions").answer(page.session, page.run_id)
  end)
  key("<CR>", "Show the output of the step", function()
    local target = page.targets and page.targets[vim.api.nvim_win_get_cursor(0)[1]]
    if target and target.type == "step" then
      show_step(page, target)
    elseif target and target.status == "asked" then
      require("sidestep.questions").answer(page.session, page.run_id)
    end
  end)
end

--- Make a buffer the page of a run, and follow it.
local function begin(session, run_id, bufnr)
  render.define_groups()
  local page = { session = session, run_id = run_id, bufnr = bufnr, picture = picture_of.new(run_id) }
  pages[bufnr] = page
  vim.b[bufnr].sidestep_workspace = session.root
  vim.b[bufnr].sidestep_run = run_id
  for option, value in pairs({ buftype = "nofile", bufhidden = "hide", swapfile = false, modifiable = false }) do
    vim.bo[bufnr][option] = value
  end
  vim.bo[bufnr].filetype = "sidestep-run"
  set_keys(page)
  draw(page)
  page.follow = follow.run(session, run_id, sink_of(page))
  vim.api.nvim_create_autocmd("BufUnload", {
    buffer = bufnr,
    once = true,
    callback = function()
      page.follow:stop()
      pages[bufnr] = nil
    end,
  })
end

--- The buffer of a run's page, -1 without one, and the windows that show it.
local function find(run_id)
  local bufnr = vim.fn.bufnr("^" .. vim.fn.escape(name_of(run_id), "[]*?") .. "$")
  return bufnr, bufnr > 0 and vim.fn.win_findbuf(bufnr) or {}
end

--- Whether a person sees a run's page, in whichever tab page.
function M.is_shown(run_id)
  local _, windows = find(run_id)
  return #windows > 0
end

--- Show a run's page in a window, the one that shows it already if there is one.
function M.open(session, run_id)
  local bufnr, windows = find(run_id)
  if #windows > 0 then
    vim.api.nvim_set_current_win(windows[1])
    return bufnr
  end
  if bufnr < 0 then
    bufnr = vim.api.nvim_create_buf(true, false)
    vim.api.nvim_buf_set_name(bufnr, name_of(run_id))
  end
  vim.cmd(settings.values.open)
  vim.api.nvim_win_set_buf(0, bufnr)
  if not pages[bufnr] then
    begin(session, run_id, bufnr)
  end
  return bufnr
end

--- Fill a buffer that was reached by its name.
function M.read(bufnr)
  local run_id = vim.api.nvim_buf_get_name(bufnr):match("^sidestep://run/(.+)$")
  if not run_id or pages[bufnr] then
    return
  end
  local session, problem = require("sidestep.session").of(require("sidestep.workspace").of_buffer(bufnr))
  if session then
    begin(session, run_id, bufnr)
  else
    messages.error(problem)
  end
end

return M
