--- What a person may set: the defaults, and what `setup` was given.
local M = {}

M.values = {
  -- The server's whole command as a list, or its program; nil looks for it (finder.lua).
  cmd = nil,
  -- Added to the server's environment.
  cmd_env = nil,
  -- Attach to workflow scripts as they are opened; without it `:Sidestep` does when it is used.
  attach = true,
  -- Keep the code lenses on `main` fresh.
  code_lens = true,
  -- Ask questions of runs as they come; without it they wait for `:Sidestep answer`.
  prompt = true,
  -- Where a run's page opens: any command that opens a window.
  open = "botright split",
  -- Sent to the server as they are: `permissionPolicy`, `autoResume`, `agents`, `trust` ...
  initialization_options = {},
}

--- Take over what a person set; an unknown name is told, for it is a misspelt one.
function M.set(given)
  local known = vim.tbl_keys(M.values)
  vim.list_extend(known, { "cmd", "cmd_env" })
  for name, value in pairs(given or {}) do
    if vim.tbl_contains(known, name) then
      M.values[name] = value
    else
      vim.notify(("Sidestep has no setting `%s`; see :help sidestep-settings"):format(name), vim.log.levels.WARN)
    end
  end
end

return M
