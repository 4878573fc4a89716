--- Asking a person for one value: of choices with `vim.ui.select`, of anything else with `vim.ui.input`.
local arguments = require("sidestep.arguments")

local M = {}

--- Ask for a value that fits a schema, until one does; `done(value)`, or `done(nil)` when the person has none.
function M.value(prompt, schema, done)
  local choices = arguments.choices(schema)
  if #choices > 0 then
    vim.ui.select(choices, { prompt = prompt }, function(choice)
      if choice == nil then
        done(nil)
      else
        done((arguments.value(schema, choice)))
      end
    end)
    return
  end
  local kind = schema.type ~= "string" and next(schema) ~= nil and (" (%s)"):format(arguments.describe(schema)) or ""
  vim.ui.input({ prompt = prompt .. kind .. ": " }, function(text)
    if text == nil then
      done(nil)
      return
    end
    local value, problem = arguments.value(schema, text)
    if problem then
      M.value(("%s [%s]"):format(prompt:gsub(" %[.*$", ""), problem), schema, done)
    else
      done(value)
    end
  end)
end

--- Ask for the arguments that a script needs and were not given; `done(args)`, or `done(nil)`.
function M.missing(schema, args, done)
  for _, name in ipairs(schema.required or {}) do
    if args[name] == nil then
      local property = (schema.properties or {})[name] or {}
      local about = property.description and (" - %s"):format(property.description) or ""
      M.value(name .. about, property, function(value)
        if value == nil then
          done(nil)
        else
          args[name] = value
          M.missing(schema, args, done)
        end
      end)
      return
    end
  end
  done(args)
end

return M
