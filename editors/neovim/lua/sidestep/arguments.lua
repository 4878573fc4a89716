--- Arguments as a person types them, by the types a script declares: `key=value`, `key:=JSON`, `key=@FILE`, and a key
--- again for each item of a list. The same words as on the command line (`sidestep run`). The server has the last word
--- on whether they fit.
local M = {}

local TRUE = { ["true"] = true, yes = true, on = true, ["1"] = true }
local FALSE = { ["false"] = true, no = true, off = true, ["0"] = true }
local NOUNS = {
  string = "text",
  integer = "a whole number",
  number = "a number",
  boolean = "true or false",
  null = "null",
  array = "a list",
  object = "an object",
}

local function members(schema)
  return schema.anyOf or { schema }
end

--- What a schema takes, for people.
function M.describe(schema)
  if schema.enum then
    return table.concat(vim.tbl_map(vim.json.encode, schema.enum), " or ")
  elseif schema.anyOf then
    return table.concat(vim.tbl_map(M.describe, schema.anyOf), " or ")
  end
  return NOUNS[schema.type] or "any value"
end

local function is_list(schema)
  for _, member in ipairs(members(schema)) do
    if member.type == "array" then
      return true, member.items or {}
    end
  end
  return false
end

--- JSON text as (true, value), or false.
function M.from_json(text)
  local ok, value = pcall(vim.json.decode, text)
  -- An empty object would be sent as a list.
  if ok and type(value) == "table" and next(value) == nil and vim.trim(text):sub(1, 1) == "{" then
    value = vim.empty_dict()
  end
  return ok, value
end

local function of_member(schema, text)
  if schema.enum then
    for _, each in ipairs(schema.enum) do
      if text == each or (type(each) ~= "string" and vim.trim(text) == vim.json.encode(each)) then
        return true, each
      end
    end
    return false
  end
  local kind, word = schema.type, vim.trim(text):lower()
  if kind == nil or kind == "string" then
    return true, text
  elseif kind == "boolean" then
    return (TRUE[word] or FALSE[word]) == true, TRUE[word] == true
  elseif kind == "null" then
    return word == "null" or word == "none", vim.NIL
  elseif kind == "integer" or kind == "number" then
    local looks_right = word:match(kind == "integer" and "^[+-]?%d+$" or "^[+-]?[%d.]+[e%d+-]*$")
    local number = looks_right and tonumber(word)
    return number ~= nil and number ~= false, number
  end
  local ok, value = M.from_json(text)
  local first = vim.trim(text):sub(1, 1)
  return ok and first == (kind == "array" and "[" or "{"), value
end

--- A text as (value, nil), or (nil, what was expected). Of a union, the first member that takes it.
function M.value(schema, text)
  for _, member in ipairs(members(schema)) do
    local fits, value = of_member(member, text)
    if fits then
      return value, nil
    end
  end
  return nil, ("expected %s, got `%s`"):format(M.describe(schema), text)
end

local function file_text(text)
  if text:sub(1, 1) ~= "@" then
    return text
  end
  local path = vim.fn.fnamemodify(text:sub(2), ":p")
  if vim.fn.filereadable(path) == 0 then
    return nil, ("cannot read `%s`"):format(path)
  end
  return table.concat(vim.fn.readfile(path, "b"), "\n")
end

--- Words as (arguments, problems): an object ready to be sent, and a list of sentences.
function M.parse(schema, words)
  local args, problems, listed = vim.empty_dict(), {}, {}
  for _, word in ipairs(words) do
    local name, is_json, text = word:match("^([^=:]+)(:?)=(.*)$")
    if not name then
      table.insert(problems, ("`%s` is not of the form key=value, key:=JSON or key=@FILE"):format(word))
    else
      local property = (schema.properties or {})[name] or {}
      local takes_list, item = is_list(property)
      local value, problem
      text, problem = file_text(text)
      if text and is_json == ":" then
        local ok
        ok, value = M.from_json(text)
        problem = not ok and "not JSON" or nil
      elseif text then
        value, problem = M.value(takes_list and item or property, text)
      end
      if problem then
        table.insert(problems, ("%s: %s"):format(name, problem))
      elseif takes_list and is_json == "" and (listed[name] or args[name] == nil) then
        listed[name] = true
        args[name] = args[name] or {}
        table.insert(args[name], value)
      elseif args[name] ~= nil then
        table.insert(problems, name .. ": given twice")
      else
        args[name] = value
      end
    end
  end
  return args, problems
end

--- What may stand behind `key=`, as far as it can be listed.
function M.choices(schema)
  local found = {}
  for _, member in ipairs(members(schema)) do
    if member.enum then
      for _, each in ipairs(member.enum) do
        table.insert(found, type(each) == "string" and each or vim.json.encode(each))
      end
    elseif member.type == "boolean" then
      vim.list_extend(found, { "true", "false" })
    end
  end
  return found
end

return M
