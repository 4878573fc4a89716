--- The one server of a workspace, as everything else sees it: requests that are always answered, and what it tells.
---
--- A server that dies is started again, and what it had not answered is sent to the next one: all requests of this
--- plugin can be sent twice. After RESTARTS_MAX deaths in a row the person decides.
local finder = require("sidestep.finder")
local messages = require("sidestep.messages")
local settings = require("sidestep.settings")

local M = {}

local RESTARTS_MAX = 5
-- Deaths further apart than this are no row.
local DEATHS_APART_MS = 180000
local PROTOCOL_VERSION = 1

-- What the server tells -> the name under which it is listened to.
local TOLD = {
  ["workflow/statusChanged"] = "status",
  ["workflow/eventsAppended"] = "events",
  ["workflow/lagged"] = "lagged",
  ["workflow/deleted"] = "deleted",
  ["workflow/output"] = "output",
  ["workflow/interact"] = "question",
  ["workflow/interactionResolved"] = "resolved",
  ["workflow/serverStatus"] = "health",
  ["workspace/codeLens/refresh"] = "lenses",
}

local Session = {}
Session.__index = Session

-- By workspace.
local sessions = {}
-- Called with each new session, before its server is started.
local on_new = {}

--- The session of a workspace, which is started when there is none; or nil and a message.
function M.of(root)
  local session = sessions[root]
  if not session then
    session = setmetatable({
      root = root,
      -- "idle": no server; "starting": what is asked waits; "ready".
      state = "idle",
      generation = 0,
      waiting = {},
      pending = {},
      next_request = 1,
      buffers = {},
      deaths = {},
      listeners = {},
      -- Folders that the person trusts until Neovim ends: the next server has to be told too.
      trusted = {},
    }, Session)
    for _, callback in ipairs(on_new) do
      callback(session)
    end
  end
  local problem = session:start()
  if problem then
    return nil, problem
  end
  sessions[root] = session
  return session
end

--- The sessions there are; none is started.
function M.all()
  return vim.tbl_values(sessions)
end

function M.existing(root)
  return sessions[root]
end

function M.on_new(callback)
  table.insert(on_new, callback)
end

--- Call `callback(what was told)` from now on; returns a function that ends it.
--- Names: those of TOLD, "ready" with each new server and "gone" with each death.
function Session:on(name, callback)
  local heard = self.listeners[name] or {}
  self.listeners[name] = heard
  table.insert(heard, callback)
  return function()
    for index, each in ipairs(heard) do
      if each == callback then
        table.remove(heard, index)
        return
      end
    end
  end
end

function Session:_tell(name, told)
  for _, callback in ipairs(vim.list_slice(self.listeners[name] or {})) do
    callback(told)
  end
end

--- Start the server unless there is one. Returns nil, or a message that says why not.
function Session:start()
  if self.state ~= "idle" then
    return nil
  end
  local cmd, missing = finder.find(self.root)
  if not cmd then
    return missing
  end
  self.generation = self.generation + 1
  self.state = "starting"
  local client_id = M._spawn(self:_config(cmd, self.generation))
  if not client_id then
    self.state = "idle"
    return ("Sidestep's server cannot be started: %s"):format(table.concat(cmd, " "))
  end
  self.client_id = client_id
  return nil
end

--- Neovim 0.11 has one way to start a client, and says that the earlier one will go.
function M._spawn(config)
  if vim.fn.has("nvim-0.11") == 1 then
    local alone = function()
      return false
    end
    return vim.lsp.start(config, { attach = false, reuse_client = alone })
  end
  return vim.lsp.start_client(config)
end

function Session:_config(cmd, generation)
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities.experimental = {
    workflow = { protocolVersions = { PROTOCOL_VERSION }, events = true, output = true, interaction = true },
  }
  capabilities.workspace = capabilities.workspace or {}
  capabilities.workspace.codeLens = { refreshSupport = true }
  return {
    name = "sidestep",
    cmd = cmd,
    cmd_env = settings.values.cmd_env,
    root_dir = self.root,
    workspace_folders = { { uri = vim.uri_from_fname(self.root), name = vim.fn.fnamemodify(self.root, ":t") } },
    capabilities = capabilities,
    init_options = self:_options(),
    handlers = self:_handlers(generation),
    commands = require("sidestep.server_commands").of(self),
    -- The end of its input tells the server that Neovim has gone: nobody waits for it when quitting.
    flags = { exit_timeout = false },
    on_init = function(client, answer)
      if generation == self.generation then
        self:_greeted(client, answer)
      end
    end,
    on_exit = vim.schedule_wrap(function(code, signal)
      if generation == self.generation then
        self:_ended(code, signal)
      end
    end),
  }
end

function Session:_options()
  local options = vim.deepcopy(settings.values.initialization_options)
  if #self.trusted > 0 then
    options.trust = options.trust or {}
    options.trust.folders = vim.list_extend(vim.deepcopy(self.trusted), options.trust.folders or {})
  end
  return vim.tbl_isempty(options) and vim.empty_dict() or options
end

function Session:_handlers(generation)
  local handlers = {}
  for method, name in pairs(TOLD) do
    handlers[method] = function(_, params)
      if generation == self.generation then
        self:_tell(name, params)
      end
      -- Those that are requests are answered at once with null: a question stays open, and its answer is sent by
      -- `workflow/answer`, for a handler here cannot wait for a person.
      return vim.NIL
    end
  end
  return handlers
end

function Session:_greeted(client, answer)
  local offered = vim.tbl_get(answer or {}, "capabilities", "experimental", "workflow") or {}
  self.client = client
  self.state = "ready"
  if offered.protocolVersion ~= PROTOCOL_VERSION then
    messages.error(
      ("This plugin speaks version %d of Sidestep's protocol, and the server version %s: update the older of the two."):format(
        PROTOCOL_VERSION,
        tostring(offered.protocolVersion or "none")
      )
    )
  end
  for bufnr in pairs(self.buffers) do
    if vim.api.nvim_buf_is_loaded(bufnr) then
      vim.lsp.buf_attach_client(bufnr, client.id)
    else
      self.buffers[bufnr] = nil
    end
  end
  local waiting = self.waiting
  self.waiting = {}
  for _, request in ipairs(waiting) do
    self:_send(request)
  end
  self:_tell("ready")
end

--- Show a buffer to the server, this one and the next.
function Session:attach(bufnr)
  self.buffers[bufnr] = true
  if self.state == "ready" then
    vim.lsp.buf_attach_client(bufnr, self.client_id)
  end
end

--- Send a request; `callback(err, result)` is called once, whatever becomes of the server.
--- With `once` it is not sent to the next server when this one dies, and fails.
function Session:request(method, params, callback, once)
  local problem = self:start()
  local request = {
    method = method,
    params = vim.tbl_isempty(params) and vim.empty_dict() or params,
    callback = callback or function() end,
    once = once,
  }
  if problem then
    request.callback({ message = problem, data = { reason = "serverGone" } })
  elseif self.state == "ready" then
    self:_send(request)
  else
    table.insert(self.waiting, request)
  end
end

function Session:_send(request)
  local number = self.next_request
  self.next_request = number + 1
  self.pending[number] = request
  -- When it cannot be sent any more the server has ended, and `_ended` is about to be called.
  self.client.rpc.request(request.method, request.params, function(err, result)
    if self.pending[number] == request then
      self.pending[number] = nil
      request.callback(err, result)
    end
  end)
end

function Session:_ended(code, signal)
  local was_ready = self.state == "ready"
  self.state = "idle"
  self.client, self.client_id = nil, nil
  self:_keep_unanswered()
  if vim.v.exiting ~= vim.NIL then
    return
  end
  self:_tell("gone")
  if self.restarting then
    self.restarting = false
    self:_start_again()
  elseif code == 0 and signal == 0 then
    -- It was asked to end, by `:LspStop` or the like.
    self:_give_up("Sidestep's server has ended; the next :Sidestep command starts it again.")
  elseif not was_ready then
    self:_give_up(
      ("Sidestep's server ended before it was ready (exit code %d, signal %d); :Sidestep log shows why."):format(
        code,
        signal
      )
    )
  else
    self:_died()
  end
end

--- What was not answered is asked of the next server, in its order.
function Session:_keep_unanswered()
  local numbers = vim.tbl_keys(self.pending)
  table.sort(numbers)
  local pending = self.pending
  self.pending = {}
  for _, number in ipairs(numbers) do
    local request = pending[number]
    if request.once then
      request.callback({ message = "Sidestep's server has ended.", data = { reason = "serverGone" } })
    else
      table.insert(self.waiting, request)
    end
  end
end

function Session:_died()
  local now = vim.loop.now()
  self.deaths = vim.tbl_filter(function(at)
    return now - at < DEATHS_APART_MS
  end, self.deaths)
  table.insert(self.deaths, now)
  if #self.deaths <= RESTARTS_MAX then
    self:_start_again()
    return
  end
  local prompt = ("Sidestep's server has died %d times in a row; its runs are kept."):format(#self.deaths)
  vim.ui.select({ "Start it again", "Leave it" }, { prompt = prompt }, function(_, index)
    if index == 1 then
      self.deaths = {}
      self:_start_again()
    else
      self:_give_up("Sidestep's server stays down; the next :Sidestep command starts it again.")
    end
  end)
end

function Session:_start_again()
  local problem = self:start()
  if problem then
    self:_give_up(problem)
  end
end

function Session:_give_up(why)
  local waiting = self.waiting
  self.waiting = {}
  messages.warn(why)
  for _, request in ipairs(waiting) do
    request.callback({ message = why, data = { reason = "serverGone" } })
  end
end

--- End the server and start another.
function Session:restart()
  self.deaths = {}
  if self.state == "idle" then
    self:_start_again()
    return
  end
  self.restarting = true
  local client = vim.lsp.get_client_by_id(self.client_id)
  if vim.fn.has("nvim-0.11") == 1 then
    client:stop()
  else
    client.stop()
  end
end

return M
