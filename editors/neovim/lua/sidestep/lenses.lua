--- Keeping the code lenses on `main` fresh, in the buffers that the server sees.
local settings = require("sidestep.settings")

local M = {}

local function offers_lenses(session)
  local offered = session.client and session.client.server_capabilities
  return settings.values.code_lens and offered and offered.codeLensProvider and session.state == "ready"
end

-- By buffer: "asked", or "again" when something changed since. Neovim's own refresh would pass the change over.
local asking = {}

local function ask(bufnr)
  if asking[bufnr] then
    asking[bufnr] = "again"
    return
  end
  asking[bufnr] = "asked"
  local params = { textDocument = vim.lsp.util.make_text_document_params(bufnr) }
  vim.lsp.buf_request(bufnr, "textDocument/codeLens", params, function(err, result, context, config)
    local is_stale = asking[bufnr] == "again"
    asking[bufnr] = nil
    vim.lsp.codelens.on_codelens(err, result, context, config)
    if is_stale and vim.api.nvim_buf_is_loaded(bufnr) then
      ask(bufnr)
    end
  end)
end

local function refresh(session, bufnr)
  local is_here = vim.api.nvim_get_current_buf() == bufnr
  -- Before the buffer is attached Neovim would complain of a method that no server supports.
  if is_here and offers_lenses(session) and vim.lsp.buf_is_attached(bufnr, session.client_id) then
    ask(bufnr)
  end
end

--- Refresh in every window that shows one of a session's scripts.
function M.refresh(session)
  for bufnr in pairs(session.buffers) do
    for _, window in ipairs(vim.fn.win_findbuf(bufnr)) do
      vim.api.nvim_win_call(window, function()
        refresh(session, bufnr)
      end)
    end
  end
end

--- Refresh when the server says that runs have changed.
function M.watch(session)
  session:on("lenses", function()
    M.refresh(session)
  end)
  -- While Neovim 0.7 still greets the server, it knows no client that could be asked.
  session:on("ready", function()
    -- What the server before it had not answered is answered by nobody.
    asking = {}
    vim.schedule(function()
      M.refresh(session)
    end)
  end)
end

--- Refresh when a person comes to a buffer, or has changed it.
function M.attach(session, bufnr)
  vim.api.nvim_create_autocmd({ "BufEnter", "InsertLeave", "BufWritePost" }, {
    buffer = bufnr,
    callback = function()
      refresh(session, bufnr)
    end,
  })
end

return M
