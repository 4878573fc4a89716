--- How the plugin speaks to a person: in whole sentences, with Sidestep's name on them.
local M = {}

function M.info(text)
  vim.notify(text, vim.log.levels.INFO, { title = "Sidestep" })
end

function M.warn(text)
  vim.notify(text, vim.log.levels.WARN, { title = "Sidestep" })
end

function M.error(text)
  vim.notify(text, vim.log.levels.ERROR, { title = "Sidestep" })
end

--- The stable word of a refusal; nil for what is none.
function M.reason(err)
  return type(err.data) == "table" and err.data.reason or nil
end

--- A refusal for a person, with the places in a script that cannot run.
function M.refusal(err)
  local lines = { tostring(err.message) }
  local data = type(err.data) == "table" and err.data or {}
  for index, problem in ipairs(data.diagnostics or {}) do
    if index > 5 then
      table.insert(lines, ("... and %d more"):format(#data.diagnostics - 5))
      break
    end
    table.insert(lines, ("%s:%d: %s"):format(data.file or "script", problem.range.start.line + 1, problem.message))
  end
  return table.concat(lines, "\n")
end

return M
