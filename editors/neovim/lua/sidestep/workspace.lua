--- Which folder a buffer's runs belong to, and which buffers are workflow scripts.
local M = {}

local SCRIPT = "^(.*)/%.sidestep/workflows/([^/]+)%.py$"

--- The workspace and the name of a workflow script; nil for any other path.
function M.script_of(path)
  return path:match(SCRIPT)
end

--- The workspace of a buffer: of its script, of the run it shows, the nearest project above it, or the working folder.
function M.of_buffer(bufnr)
  local shown = vim.b[bufnr].sidestep_workspace
  if shown then
    return shown
  end
  local path = vim.api.nvim_buf_get_name(bufnr)
  local root = M.script_of(path)
  if root then
    return root
  end
  local is_file = path ~= "" and vim.bo[bufnr].buftype == "" and not path:find("^%a+://")
  local from = is_file and vim.fn.fnamemodify(path, ":p:h") or vim.loop.cwd()
  for _, mark in ipairs({ ".sidestep", ".git" }) do
    local found = vim.fn.finddir(mark, vim.fn.fnameescape(from) .. ";")
    if found ~= "" then
      return (vim.fn.fnamemodify(found, ":p"):gsub("/+$", ""):gsub("/[^/]+$", ""))
    end
  end
  return from
end

return M
