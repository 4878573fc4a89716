--- Where the server is: the setting, then the project's .venv, then PATH.
local settings = require("sidestep.settings")

local M = {}

--- The server's command for a workspace, or nil and a message that says what to do.
function M.find(root)
  local cmd = settings.values.cmd
  if cmd then
    cmd = type(cmd) == "string" and { cmd, "serve", "--stdio" } or cmd
    if vim.fn.executable(cmd[1]) == 1 then
      return cmd
    end
    return nil,
      ("Sidestep's server was not found: `cmd` names %s, which cannot be executed. "):format(cmd[1])
        .. "Correct it in require('sidestep').setup, or leave it out to look in the project's .venv and on PATH."
  end
  local in_project = root .. "/.venv/bin/sidestep"
  if vim.fn.executable(in_project) == 1 then
    return { in_project, "serve", "--stdio" }
  end
  local on_path = vim.fn.exepath("sidestep")
  if on_path ~= "" then
    return { on_path, "serve", "--stdio" }
  end
  return nil,
    ("Sidestep's server was not found: there is no %s, and no `sidestep` on PATH. "):format(in_project)
      .. "Install Sidestep into the project's .venv, or say where it is: "
      .. "require('sidestep').setup({ cmd = '/path/to/sidestep' })"
end

return M
