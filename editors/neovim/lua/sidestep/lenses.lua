--- Keeping the code lenses on `main` fresh, in the buffers that the server sees.
local settings = require("sidestep.settings")

local M = {}

local function offers_lenses(session)
  local offered = session.client and session.client.server_capabilities
  return settings.values.code_lens and offered and offered.codeLensProvider and session.state == "ready"
end

local function refresh(session, bufnr)
  local is_here = vim.api.nvim_get_current_buf() == bufnr
  -- Before the buffer is attached Neovim would complain of a method that no server supports.
  if is_here and offers_lenses(session) and vim.lsp.buf_is_attached(bufnr, session.client_id) then
    vim.lsp.codelens.refresh()
  end
end

--- Refresh when the server says that runs have changed.
function M.watch(session)
  local function refresh_shown()
    for bufnr in pairs(session.buffers) do
      for _, window in ipairs(vim.fn.win_findbuf(bufnr)) do
        vim.api.nvim_win_call(window, function()
          refresh(session, bufnr)
        end)
      end
    end
  end
  session:on("lenses", refresh_shown)
  -- While Neovim 0.7 still greets the server, it knows no client that could be asked.
  session:on("ready", function()
    vim.schedule(refresh_shown)
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
